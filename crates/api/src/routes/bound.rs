//! Where a script's versions are bound.

use std::collections::HashMap;

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use snaphook_model::{Name, TenantName};
use snaphook_store::{BoundScript, DocumentKind};

use crate::answer::Answer;
use crate::extract::{At, Query, Read};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::shared::{Core, Shared};

/// A place at which a version is bound.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct BindingAnswer {
    version: u32,
    /// `connector` or `flow`.
    kind: &'static str,
    /// Of the connector or flow.
    name: String,
    /// The endpoint or the step; `trigger` for a flow's trigger. Null for hooks of a connector, which are those of all its endpoints.
    place: Option<String>,
    hook: String,
    /// Where in the document it stands, such as `endpoints.send.hooks.pre-hook[0]`.
    path: String,
    /// The flow's latest version, which is the one that binds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_version: Option<u32>,
}

/// List where a script's versions are bound
///
/// In connectors, and in the latest version of each flow. Runs that began before go on with what their version of the flow binds.
#[utoipa::path(get, path = "/v1/scripts/{script}/bindings", tag = "scripts", security(("token" = ["read"])),
    params(("script" = String, Path), PageQuery),
    responses((status = 200, body = page::List<BindingAnswer>), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, At(name): At<Name>, Query(query): Query<PageQuery>) -> Answer {
    let request = query.request()?;
    let known = core.store.latest_version(&tenant.name, &name).await?;
    known.ok_or_else(|| Problem::not_found(format!("script `{name}`")))?;
    let page = core.store.bindings(&tenant.name, &name, &request).await?;
    let flows = flows_of(&core, &tenant.name, &page.items).await?;
    page::list(page, |bound| wire(&bound, flows.get(&bound.document).filter(|_| bound.kind == DocumentKind::Flow)))
}

/// What is kept of a flow while an answer is made. Of a whole page's flows the documents would not fit into memory.
struct Named {
    version: u32,
    /// Of the steps in order; none for one without.
    steps: Vec<Option<String>>,
}

impl Named {
    fn of(version: u32, document: &Value) -> Self {
        let steps = document["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self { version, steps: steps.iter().map(|step| step["name"].as_str().map(str::to_owned)).collect() }
    }
}

/// The flows among them, each read once: their steps have names.
async fn flows_of(core: &Core, tenant: &TenantName, bound: &[BoundScript]) -> Result<HashMap<Name, Named>, Problem> {
    let mut flows = HashMap::new();
    for BoundScript { document, .. } in bound.iter().filter(|bound| bound.kind == DocumentKind::Flow) {
        if !flows.contains_key(document)
            && let Some(flow) = core.store.flow(tenant, document).await?
        {
            flows.insert(document.clone(), Named::of(flow.version, &flow.document));
        }
    }
    Ok(flows)
}

fn wire(bound: &BoundScript, flow: Option<&Named>) -> BindingAnswer {
    // A flow that came with `execute` is stored with `steps`.
    let path = match bound.place.strip_prefix("execute[") {
        Some(rest) => format!("steps[{rest}"),
        None => bound.place.clone(),
    };
    let (place, hook) = match bound.kind {
        DocumentKind::Connector => of_connector(&path),
        DocumentKind::Flow => of_flow(&path, flow),
    };
    let (hook, name) = (hook.to_owned(), bound.document.to_string());
    BindingAnswer {
        version: bound.version,
        kind: bound.kind.as_str(),
        name,
        place,
        hook,
        path,
        flow_version: flow.map(|flow| flow.version),
    }
}

/// Endpoint and hook of `endpoints.send.hooks.pre-hook[0]`, or the hook alone of `hooks.pre-hook[0]`. An endpoint's name may hold dots.
fn of_connector(path: &str) -> (Option<String>, &str) {
    let endpoint = path.strip_prefix("endpoints.").and_then(|rest| rest.rsplit_once(".hooks."));
    let (endpoint, hook) = endpoint.map_or((None, path.trim_start_matches("hooks.")), |(endpoint, hook)| (Some(endpoint.to_owned()), hook));
    (endpoint, without_position(hook))
}

/// Step and hook of `steps[1].hooks.pre-hook[0]`; of `steps[1]`, which is a script step; or of `trigger`.
fn of_flow<'p>(path: &'p str, flow: Option<&Named>) -> (Option<String>, &'p str) {
    let Some((index, rest)) = path.strip_prefix("steps[").and_then(|rest| rest.split_once(']')) else {
        return (Some(path.to_owned()), "trigger");
    };
    let named = flow.and_then(|flow| flow.steps.get(index.parse::<usize>().ok()?)?.clone());
    // It may have been changed since the binding was read.
    let step = named.unwrap_or_else(|| path.to_owned());
    (Some(step), rest.strip_prefix(".hooks.").map_or("step", without_position))
}

fn without_position(hook: &str) -> &str {
    hook.split('[').next().unwrap_or(hook)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Named, of_connector, of_flow};

    #[test]
    fn places_are_told_by_their_names() {
        assert_eq!(of_connector("endpoints.v1.hooks.send.hooks.pre-hook[0]"), (Some("v1.hooks.send".to_owned()), "pre-hook"));
        assert_eq!(of_connector("hooks.post-request[12]"), (None, "post-request"));
        let flow = Named::of(1, &json!({"steps": [{"name": "Price it"}, {"name": "Order"}]}));
        let of = |path| of_flow(path, Some(&flow));
        assert_eq!(of("steps[1].hooks.post-fail[0]"), (Some("Order".to_owned()), "post-fail"));
        assert_eq!(of("steps[0]"), (Some("Price it".to_owned()), "step"));
        assert_eq!(of("trigger"), (Some("trigger".to_owned()), "trigger"));
        assert_eq!(of("steps[7]"), (Some("steps[7]".to_owned()), "step"), "a step that is gone");
    }
}
