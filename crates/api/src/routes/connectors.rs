//! Connectors.

use axum::extract::State;
use http::StatusCode;
use serde_json::Value;
use snaphook_flow::Runner;
use snaphook_model::{Author, Connector, Name, Tenant};
use snaphook_store::{Change, NewDocument, StoredConnector};

use crate::answer::{self, Answer};
use crate::author::By;
use crate::extract::{At, Deploy, Document, Query, Read};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::routes::bindings::Pinner;
use crate::shared::{Core, Shared};

/// A stored connector: its document with `name` and `updated_at`.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes a document, whose own fields stand in the guide to connectors and flows")]
pub(crate) struct ConnectorAnswer {
    name: String,
    base_url: String,
    endpoints: serde_json::Map<String, Value>,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Create or replace a connector
///
/// Every binding's version is filled in: the latest where the document names none.
#[utoipa::path(put, path = "/v1/connectors/{connector}", tag = "connectors", security(("token" = ["deploy"])),
    params(("connector" = String, Path)), request_body(content((Object = "application/json"), (Object = "application/yaml"))),
    responses((status = 201, body = ConnectorAnswer), (status = 200, body = ConnectorAnswer),
        (status = 400, body = ProblemDetails<'static>), (status = 422, body = ProblemDetails<'static>)))]
pub(crate) async fn put(
    State(core): State<Shared>,
    Deploy(tenant): Deploy,
    By(author): By,
    At(name): At<Name>,
    Document { value, text }: Document,
) -> Answer {
    Box::pin(put_document(&core, &author, &tenant, name, value)).await.map_err(|problem| text.place(problem))
}

async fn put_document(core: &Core, author: &Author, tenant: &Tenant, name: Name, document: Value) -> Answer {
    let mut connector = Connector::parse(document)?;
    Runner::check_connector(&connector)?;
    let mut pinner = Pinner::new(&*core.store, &tenant.name);
    for (place, hook, binding) in connector.bindings_mut() {
        pinner.pin(place, hook, binding).await?;
    }
    let pins = pinner.pins();
    let document = serde_json::to_value(&connector).map_err(Problem::internal)?;
    let now = author.at;
    let change = core.store.by(author).put_connector(&tenant.name, &name, NewDocument { document: &document, pins: &pins, now }).await?;
    core.definitions.forget_connector(&tenant.name, &name);
    let status = if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    answer::json(status, &wire(StoredConnector { name, document, updated_at: now }))
}

/// Read a connector
#[utoipa::path(get, path = "/v1/connectors/{connector}", tag = "connectors", security(("token" = ["read"])),
    params(("connector" = String, Path)),
    responses((status = 200, body = ConnectorAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, At(name): At<Name>) -> Answer {
    let stored = core.store.connector(&tenant.name, &name).await?.ok_or_else(|| unknown(&name))?;
    answer::ok(&wire(stored))
}

/// List connectors
#[utoipa::path(get, path = "/v1/connectors", tag = "connectors", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, body = page::List<ConnectorAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<PageQuery>) -> Answer {
    page::list(core.store.connectors(&tenant.name, &query.request()?).await?, wire)
}

/// Delete a connector
#[utoipa::path(delete, path = "/v1/connectors/{connector}", tag = "connectors", security(("token" = ["deploy"])),
    params(("connector" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(State(core): State<Shared>, Deploy(tenant): Deploy, By(author): By, At(name): At<Name>) -> Answer {
    let deleted = core.store.by(&author).delete_connector(&tenant.name, &name).await?;
    core.definitions.forget_connector(&tenant.name, &name);
    if deleted { answer::nothing() } else { Err(unknown(&name)) }
}

fn wire(stored: StoredConnector) -> Value {
    let mut wire = serde_json::Map::new();
    wire.insert("name".to_owned(), stored.name.as_str().into());
    if let Value::Object(document) = stored.document {
        wire.extend(document);
    }
    wire.insert("updated_at".to_owned(), stored.updated_at.to_string().into());
    wire.into()
}

fn unknown(name: &Name) -> Problem {
    Problem::not_found(format!("connector `{name}`"))
}
