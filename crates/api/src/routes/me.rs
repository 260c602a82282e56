//! Whose token it is that asks.

use jiff::Timestamp;
use serde::Serialize;
use snaphook_model::TokenScope;

use crate::answer::{self, Answer};
use crate::extract::Anyone;
use crate::problem::ProblemDetails;

/// Who asks, and what the token opens.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct MeAnswer {
    /// Whose token it is; null for the operator's.
    tenant: Option<String>,
    operator: bool,
    /// `admin` stands for all of them. The operator's token has none: it opens nothing inside a tenant.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<TokenScope>,
    /// Null for the operator's.
    token: Option<OwnToken>,
    /// Of the node.
    version: &'static str,
}

/// The token that was presented.
#[derive(Serialize, utoipa::ToSchema)]
struct OwnToken {
    id: String,
    name: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Read whose token this is
///
/// Every token may ask, whatever its scopes, and so may the operator's.
#[utoipa::path(get, path = "/v1/me", tag = "tokens", security(("token" = []), ("operator" = [])),
    responses((status = 200, body = MeAnswer), (status = 401, body = ProblemDetails<'static>)))]
pub(crate) async fn get(Anyone(known): Anyone) -> Answer {
    let record = known.as_ref().map(|known| known.record());
    answer::ok(&MeAnswer {
        tenant: known.as_ref().map(|known| known.tenant.to_string()),
        operator: known.is_none(),
        scopes: record.map(|record| record.scopes.0.clone()).unwrap_or_default(),
        token: record.map(|record| OwnToken { id: record.id.clone(), name: record.name.clone(), expires_at: record.expires_at }),
        version: env!("CARGO_PKG_VERSION"),
    })
}
