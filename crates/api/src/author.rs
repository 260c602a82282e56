//! Who changes something, as it is noted with the change.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;
use snaphook_model::{Author, Who};

use crate::ambient;
use crate::auth::Known;
use crate::problem::Problem;
use crate::shared::Shared;

/// Names the request.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

/// Whose token it is.
#[derive(Clone)]
pub(crate) enum Asks {
    Tenant(Arc<Known>),
    Operator,
}

/// Who makes the change that is asked for; taken after who asks.
pub(crate) struct By(pub(crate) Author);

impl FromRequestParts<Shared> for By {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let who = match parts.extensions.get::<Asks>() {
            Some(Asks::Tenant(known)) => known.who(),
            Some(Asks::Operator) => Who::Operator,
            None => return Err(Problem::internal("a route notes a change before it knows whose")),
        };
        Ok(Self(author(parts, who)))
    }
}

/// A browser that comes back makes the change.
pub(crate) struct ByBrowser(pub(crate) Author);

impl FromRequestParts<Shared> for ByBrowser {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        Ok(Self(author(parts, Who::Browser)))
    }
}

fn author(parts: &Parts, who: Who) -> Author {
    let id = parts.extensions.get::<RequestId>().and_then(|id| id.0.to_str().ok());
    Author { who, at: ambient::now(), request_id: id.unwrap_or_default().to_owned() }
}
