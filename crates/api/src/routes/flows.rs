//! Flows and their versions.

use axum::extract::State;
use http::StatusCode;
use serde_json::Value;
use snaphook_flow::Runner;
use snaphook_model::files::NO_SCRIPT_BESIDE_FILES;
use snaphook_model::{Author, Binding, Connector, Flow, Hook, Invalid, Name, StepAction, Tenant, TenantName, TriggerAuth};
use snaphook_store::{Change, NewDocument, Store, StoredFlow};

use crate::answer::{self, Answer};
use crate::author::By;
use crate::extract::{At, Deploy, Document, Query, Read};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::routes::bindings::Pinner;
use crate::shared::{Core, Shared};

/// A stored flow: its document with `name`, `version` and `updated_at`.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes a document, whose own fields stand in the guide to connectors and flows")]
pub(crate) struct FlowAnswer {
    name: String,
    version: u32,
    trigger: Option<Value>,
    steps: Vec<Value>,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Create a flow, or a new version of it
///
/// Every binding's version is filled in. The same document as the latest version gives that version.
#[utoipa::path(put, path = "/v1/flows/{flow}", tag = "flows", security(("token" = ["deploy"])),
    params(("flow" = String, Path)), request_body(content((Object = "application/json"), (Object = "application/yaml"))),
    responses((status = 201, body = FlowAnswer), (status = 200, body = FlowAnswer),
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
    let mut flow = Flow::parse(document)?;
    Runner::check_flow(&flow)?;
    check_calls(&*core.store, &tenant.name, &flow).await?;
    let mut pinner = Pinner::new(&*core.store, &tenant.name);
    let paths: Vec<_> = (0..flow.steps.len()).map(|i| flow.path_of(i)).collect();
    for (path, step) in paths.into_iter().zip(&mut flow.steps) {
        if let Some(script) = step.script.clone() {
            let mut binding = Binding { script, version: step.version, parms: serde_json::Map::new() };
            pinner.pin(path, Hook::Step, &mut binding).await?;
            step.version = binding.version;
        }
    }
    for (place, hook, binding) in flow.bindings_mut() {
        pinner.pin(place, hook, binding).await?;
    }
    if let Some(trigger) = &mut flow.trigger {
        if let Some(mut binding) = trigger.binding() {
            pinner.pin("trigger".to_owned(), Hook::Trigger, &mut binding).await?;
            trigger.version = binding.version;
        }
        if let TriggerAuth::Signature { secret } = &trigger.auth {
            let checked = core.runner.check_signing_key(&tenant.name, secret).await;
            checked.map_err(|fault| fault.in_field("trigger.auth.signature.secret"))?;
        }
    }
    let pins = pinner.pins();
    let document = serde_json::to_value(&flow).map_err(Problem::internal)?;
    let new = NewDocument { document: &document, pins: &pins, now: author.at };
    let put = core.store.by(author).put_flow(&tenant.name, &name, new).await?;
    core.definitions.forget_flow(&tenant.name, &name);
    let status = if put.change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    answer::json(status, &wire(StoredFlow { name, version: put.version, document, updated_at: put.updated_at }))
}

/// Read a flow's latest version
#[utoipa::path(get, path = "/v1/flows/{flow}", tag = "flows", security(("token" = ["read"])), params(("flow" = String, Path)),
    responses((status = 200, body = FlowAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, At(name): At<Name>) -> Answer {
    let stored = core.store.flow(&tenant.name, &name).await?.ok_or_else(|| unknown(&name))?;
    answer::ok(&wire(stored))
}

/// Read one version of a flow
#[utoipa::path(get, path = "/v1/flows/{flow}/versions/{version}", tag = "flows", security(("token" = ["read"])),
    params(("flow" = String, Path), ("version" = u32, Path)),
    responses((status = 200, body = FlowAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get_version(State(core): State<Shared>, Read(tenant): Read, At((name, version)): At<(Name, u32)>) -> Answer {
    let stored = core.store.flow_version(&tenant.name, &name, version).await?;
    answer::ok(&wire(stored.ok_or_else(|| Problem::not_found(format!("version {version} of flow `{name}`")))?))
}

/// List flows with their latest version
#[utoipa::path(get, path = "/v1/flows", tag = "flows", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, body = page::List<FlowAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<PageQuery>) -> Answer {
    page::list(core.store.flows(&tenant.name, &query.request()?).await?, wire)
}

/// Delete a flow with all its versions
#[utoipa::path(delete, path = "/v1/flows/{flow}", tag = "flows", security(("token" = ["deploy"])), params(("flow" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(State(core): State<Shared>, Deploy(tenant): Deploy, By(author): By, At(name): At<Name>) -> Answer {
    let deleted = core.store.by(&author).delete_flow(&tenant.name, &name).await?;
    core.definitions.forget_flow(&tenant.name, &name);
    if deleted { answer::nothing() } else { Err(unknown(&name)) }
}

/// Every endpoint that a step calls exists now; a connector may still be deleted later, which its runs then report.
async fn check_calls(store: &dyn Store, tenant: &TenantName, flow: &Flow) -> Result<(), Problem> {
    let mut connectors = std::collections::HashMap::new();
    for (i, step) in flow.steps.iter().enumerate() {
        let Ok(StepAction::Call { connector, endpoint }) = step.action() else { continue };
        let path = || format!("{}.call", flow.path_of(i));
        if !connectors.contains_key(&connector) {
            let stored = store.connector(tenant, &connector).await?;
            let stored = stored.ok_or_else(|| Invalid::new(path(), format!("there is no connector `{connector}`")))?;
            connectors.insert(connector.clone(), Connector::parse(stored.document)?);
        }
        let Some(endpoint) = connectors[&connector].endpoints.get(&endpoint) else {
            return Err(Invalid::new(path(), format!("connector `{connector}` has no endpoint `{endpoint}`")).into());
        };
        if !endpoint.files.is_empty() && !step.hooks.of(Hook::PreRequest).is_empty() {
            return Err(Invalid::new(format!("{}.hooks.pre-request", flow.path_of(i)), NO_SCRIPT_BESIDE_FILES).into());
        }
    }
    Ok(())
}

fn wire(stored: StoredFlow) -> Value {
    let mut wire = serde_json::Map::new();
    wire.insert("name".to_owned(), stored.name.as_str().into());
    wire.insert("version".to_owned(), stored.version.into());
    if let Value::Object(document) = stored.document {
        wire.extend(document);
    }
    wire.insert("updated_at".to_owned(), stored.updated_at.to_string().into());
    wire.into()
}

fn unknown(name: &Name) -> Problem {
    Problem::not_found(format!("flow `{name}`"))
}
