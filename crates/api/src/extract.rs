//! What handlers take from a request. Each part refuses what it does not understand, as a problem.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, RawQuery, Request};
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use snaphook_model::strict::{self, NotStrict};
use snaphook_model::{Code, Fault, Invalid, PlaceOf, Tenant, TenantName, TokenScope};

use crate::auth::Known;
use crate::author::Asks;
use crate::body::{BodyLimit, ReadBody};
use crate::problem::Problem;
use crate::room::Sender;
use crate::shared::Shared;

/// A document is written by people; what is larger is generated, and better split.
const DOCUMENT_BYTES: u64 = 1 << 20;

macro_rules! scoped {
    ($($name:ident $scope:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        pub(crate) struct $name(pub(crate) Arc<Tenant>);

        impl FromRequestParts<Shared> for $name {
            type Rejection = Problem;
            async fn from_request_parts(parts: &mut Parts, core: &Shared) -> Result<Self, Problem> {
                caller(parts, core, TokenScope::$scope).await.map(Self)
            }
        }
    )*};
}
scoped! {
    Deploy Deploy "The tenant of a token that may write.";
    Invoke Invoke "The tenant of a token that may call.";
    Read Read "The tenant of a token that may read.";
    CallBack Callback "The tenant of a token that may call back.";
    Admin Admin "The tenant of a token that may manage tokens.";
}

/// What the head of a request says of its body.
#[derive(Clone)]
struct Expected {
    limit: BodyLimit,
    sender: Sender,
}

/// The operator asks.
pub(crate) struct Operator;

impl FromRequestParts<Shared> for Operator {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, core: &Shared) -> Result<Self, Problem> {
        core.auth.operator(&parts.headers).await?;
        parts.extensions.insert(Asks::Operator);
        parts.extensions.insert(Expected { limit: BodyLimit::request(DOCUMENT_BYTES), sender: Sender::Operator });
        Ok(Self)
    }
}

/// Whoever has a token: the one of a tenant, or none where it is the operator's.
pub(crate) struct Anyone(pub(crate) Option<Arc<Known>>);

impl FromRequestParts<Shared> for Anyone {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, core: &Shared) -> Result<Self, Problem> {
        core.any_caller(parts).await.map(Self)
    }
}

async fn caller(parts: &mut Parts, core: &Shared, scope: TokenScope) -> Result<Arc<Tenant>, Problem> {
    let (known, tenant) = core.known_caller(parts, scope).await?;
    parts.extensions.insert(Asks::Tenant(known));
    let limit = BodyLimit::request(tenant.limits.request_body_bytes);
    parts.extensions.insert(Expected { limit, sender: Sender::Tenant(tenant.name.clone()) });
    Ok(tenant)
}

/// The names in a path.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for At<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, core: &Shared) -> Result<Self, Problem> {
        let Path(names) = Path::from_request_parts(parts, core).await.map_err(|rejection| unfit_path(&rejection))?;
        Ok(Self(names))
    }
}

fn unfit_path(rejection: &PathRejection) -> Problem {
    use axum::extract::path::ErrorKind;
    match rejection {
        PathRejection::FailedToDeserializePathParams(failed) => match failed.kind() {
            // Numbers: a version that is none does not exist.
            ErrorKind::ParseErrorAtIndex { value, .. } | ErrorKind::ParseErrorAtKey { value, .. } | ErrorKind::ParseError { value, .. } => {
                Problem::not_found(format!("version `{value}`"))
            }
            // Names say themselves what is wrong.
            ErrorKind::DeserializeError { message, .. } | ErrorKind::Message(message) => Problem::new(Code::Name, message.clone()),
            other => Problem::new(Code::Name, other.to_string()),
        },
        other => Problem::internal(other.body_text()),
    }
}

/// The query, of known parameters only. Its values are texts; who reads a number of one says itself what is wrong with it.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let mut given = serde_json::Map::new();
        for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            if given.insert(name.to_string(), value.into_owned().into()).is_some() {
                return Err(Invalid::new(name, "is given twice in the query").into());
            }
        }
        shaped(given.into()).map(Self)
    }
}

/// Refuses any query, for routes that read none: a parameter without effect misleads.
pub(crate) async fn refuse_query(RawQuery(query): RawQuery, request: Request, next: axum::middleware::Next) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    match query.as_deref() {
        None | Some("") => next.run(request).await,
        Some(_) => Problem::new(Code::Invalid, "this route takes no query parameters").into_response(),
    }
}

/// A body of at most the tenant's limit.
pub(crate) struct Raw(pub(crate) ReadBody);

impl FromRequest<Shared> for Raw {
    type Rejection = Problem;
    async fn from_request(request: Request, core: &Shared) -> Result<Self, Problem> {
        let Expected { limit, sender } = expected(&request)?;
        core.read(request.into_body(), limit, sender).await.map(Self)
    }
}

/// A JSON or YAML document, with its text.
pub(crate) struct Document {
    pub(crate) value: serde_json::Value,
    pub(crate) text: DocumentText,
}

/// The text of a document, to say where in it something is wrong.
pub(crate) struct DocumentText {
    read: ReadBody,
    yaml: bool,
}

impl DocumentText {
    /// Gives a problem with a path its line and column. Those of a template are places in its own text, and say so then.
    pub(crate) fn place(&self, problem: Problem) -> Problem {
        problem.placed(|path| {
            let (place_of, text) = (PlaceOf::path(path), &self.read.bytes);
            let (line, column) = if self.yaml { place_of.in_yaml(text) } else { place_of.in_json(text) }?;
            Some((place(line), place(column)))
        })
    }

    /// Overwrites a text that holds secrets.
    pub(crate) fn wipe(self) {
        self.read.wipe();
    }
}

impl FromRequest<Shared> for Document {
    type Rejection = Problem;
    async fn from_request(request: Request, core: &Shared) -> Result<Self, Problem> {
        let Expected { limit, sender } = expected(&request)?;
        let limit = if limit.bytes > DOCUMENT_BYTES {
            BodyLimit { name: "the most that a document may have", ..BodyLimit::request(DOCUMENT_BYTES) }
        } else {
            limit
        };
        let yaml = is_yaml(request.headers())?;
        let read = core.read(request.into_body(), limit, sender).await?;
        let value = if yaml { from_yaml(&read.bytes)? } else { from_json(&read.bytes)? };
        Ok(Self { value, text: DocumentText { read, yaml } })
    }
}

/// A JSON body of a fixed shape.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, core: &Shared) -> Result<Self, Problem> {
        let Raw(read) = Raw::from_request(request, core).await?;
        Ok(Self(shaped(from_json(&read.bytes)?)?))
    }
}

fn expected(request: &Request) -> Result<Expected, Problem> {
    let expected = request.extensions().get::<Expected>().cloned();
    expected.ok_or_else(|| Problem::internal("a route reads a body before it knows whose"))
}

fn is_yaml(headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(false) };
    let text = value.to_str().unwrap_or_default();
    match text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "application/json" => Ok(false),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(true),
        other if other.ends_with("+json") => Ok(false),
        other => {
            let detail = format!("a document is `application/json` or `application/yaml`, not `{other}`");
            Err(Invalid::new("content-type", detail).into())
        }
    }
}

/// Reads JSON of which nothing may be lost; what is wrong is named with its line and column.
pub(crate) fn from_json(bytes: &[u8]) -> Result<serde_json::Value, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::new(Code::Invalid, "the body is empty; a JSON document belongs there"));
    }
    strict::from_json(bytes).map_err(|error| refused("JSON", error))
}

/// The same of YAML.
fn from_yaml(bytes: &[u8]) -> Result<serde_json::Value, Problem> {
    strict::from_yaml(bytes).map_err(|error| refused("YAML", error))
}

fn refused(format: &str, NotStrict { path, detail, line, column }: NotStrict) -> Problem {
    let fault = match path {
        Some(path) => Fault::from(Invalid::new(path, detail)),
        None => Fault::new(Code::Invalid, format!("the body is not {format}: {detail}")),
    };
    fault.at(place(line), place(column)).into()
}

/// A line or column.
fn place(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    // serde_json ends its message with the place, which has fields of its own here.
    let text = error.to_string();
    let sentence = text.split(" at line ").next().unwrap_or(&text);
    Fault::new(Code::Invalid, format!("the body is not JSON: {sentence}")).at(place(error.line()), place(error.column())).into()
}

/// Reads a value of a fixed shape and names the path of what does not fit.
pub(crate) fn shaped<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        Invalid::new(path, error.inner().to_string()).into()
    })
}

/// The name of a tenant in an operator's path.
pub(crate) type TenantAt = At<TenantName>;
