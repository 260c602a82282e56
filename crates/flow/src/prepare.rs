//! Resolves definitions into their prepared form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use snaphook_model::connector::DEFAULT_TIMEOUT_S;
use snaphook_model::files::NO_SCRIPT_BESIDE_FILES;
use snaphook_model::{
    Binding, Code, Connector, Encode, Endpoint, Fault, Flow, Hook, HookBindings, Name, Retry, Step, StepAction, TenantName, Trigger,
    Variables, result_key,
};
use snaphook_store::Store;
use url::Url;

use crate::connections::{Uses, host_of};
use crate::machine::{Accept, BoundHooks, CallPlan, ResponsePath};
use crate::prepared::{PreparedAction, PreparedBinding, PreparedEndpoint, PreparedFlow, PreparedStep, PreparedTrigger};
use crate::programs::Programs;
use crate::runner::RunnerParts;
use crate::template::{Body, Condition, FilePlan, Needs, RequestTemplate, Source, SourceUrl, TemplateCount};

/// Followed for GET and HEAD where an endpoint says nothing, and in steps with a URL.
pub(crate) const DEFAULT_REDIRECTS: u8 = 5;

/// Resolves one endpoint of a connector.
pub(crate) async fn endpoint(
    programs: &dyn Programs,
    tenant: &TenantName,
    connector: &Name,
    document: &Connector,
    endpoint: &Name,
) -> Result<PreparedEndpoint, Fault> {
    let loader = Loader { programs, tenant };
    loader.call(format!("{connector}/{endpoint}"), (connector, document), endpoint, None).await
}

/// Resolves a version of a flow.
pub(crate) async fn flow(
    parts: &RunnerParts,
    tenant: &TenantName,
    name: &Name,
    version: u32,
    document: &Flow,
) -> Result<PreparedFlow, Fault> {
    let loader = Loader { programs: &*parts.programs, tenant };
    let mut connectors = BTreeMap::new();
    let mut steps = Vec::with_capacity(document.steps.len());
    for (i, step) in document.steps.iter().enumerate() {
        let path = document.path_of(i);
        let within = |fault: Fault| if fault.path.is_none() { fault.in_field(path.clone()) } else { fault };
        let action = match step.action().map_err(Fault::from).map_err(within)? {
            StepAction::Call { connector, endpoint } => {
                if !connectors.contains_key(&connector) {
                    let read = read_connector(&*parts.store, tenant, &connector).await.map_err(within)?;
                    connectors.insert(connector.clone(), read);
                }
                let found = (&connector, &connectors[&connector]);
                let prepared = loader.call(step.name().to_owned(), found, &endpoint, Some((&path, step))).await;
                PreparedAction::Request(Box::new(prepared.map_err(within)?))
            }
            StepAction::Url(url) => PreparedAction::Request(Box::new(loader.url(&path, step, url, document).await.map_err(within)?)),
            StepAction::Script(binding) => {
                PreparedAction::Script(loader.binding(&binding).await.map_err(within)?, step.on_error.unwrap_or_default())
            }
        };
        let uses = Uses { connection: step.connection.clone(), ..Uses::default() };
        steps.push(PreparedStep { name: step.name().into(), key: result_key(step.name()), uses, action });
    }
    let trigger = match &document.trigger {
        Some(trigger) => Some(loader.trigger(trigger).await.map_err(|fault| fault.in_field("trigger"))?),
        None => None,
    };
    let text = |values: &BTreeMap<String, Value>| values.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    let variables = Variables { variables: text(&document.variables), config: text(&document.config), ..Variables::default() };
    let scripted = steps.iter().any(|step| match &step.action {
        PreparedAction::Request(endpoint) => !endpoint.is_plain(),
        PreparedAction::Script(..) => true,
    });
    let needs = steps.iter().fold(Needs::default(), |needs, step| needs.and(step.needs()));
    let generate = document.generate.iter().map(|(name, length)| (name.clone(), *length)).collect();
    let document_bytes = json_bytes(document);
    let (name, retry, variables) = (name.clone(), document.retry, Arc::new(variables));
    Ok(PreparedFlow { name, version, trigger, steps, variables, generate, retry, record: document.record, scripted, needs, document_bytes })
}

/// The length of a part of a document as JSON text, without writing it anywhere.
fn json_bytes(part: &impl serde::Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What came from JSON goes into it, and counting does not fail.
    drop(serde_json::to_writer(&mut count, part));
    count.0
}

/// A tenant's connector, read from the store.
pub(crate) async fn read_connector(store: &dyn Store, tenant: &TenantName, name: &Name) -> Result<Connector, Fault> {
    let stored = store.connector(tenant, name).await.map_err(crate::record::store_fault)?;
    let stored = stored.ok_or_else(|| Fault::new(Code::NotFound, format!("connector `{name}` does not exist")))?;
    Connector::parse(stored.document).map_err(Fault::from)
}

struct Loader<'a> {
    programs: &'a dyn Programs,
    tenant: &'a TenantName,
}

impl Loader<'_> {
    /// An endpoint, as it stands or as a step changes it.
    async fn call(
        &self,
        name: String,
        (connector, document): (&Name, &Connector),
        endpoint: &Name,
        step: Option<(&str, &Step)>,
    ) -> Result<PreparedEndpoint, Fault> {
        let (step_path, step) = step.unzip();
        let found = document.endpoints.get(endpoint);
        let found = found.ok_or_else(|| Fault::new(Code::NotFound, format!("connector `{connector}` has no endpoint `{endpoint}`")))?;
        let hooks = self.hooks([&document.hooks, &found.hooks], step.map(|step| &step.hooks)).await?;
        if !found.files.is_empty() && !hooks[Hook::PreRequest as usize].is_empty() {
            return Err(Fault::new(Code::Invalid, NO_SCRIPT_BESIDE_FILES).in_field("hooks.pre-request"));
        }
        let retry = step.and_then(|step| step.retry).or(found.retry);
        let timeout = step.and_then(|step| step.timeout_s).or(found.timeout_s).or(document.timeout_s);
        let path = format!("endpoints.{endpoint}");
        let (request, own_condition) = RequestTemplate::read(endpoint_source(&path, document, found))?;
        let condition = match step_path.zip(step).map(|(path, step)| step_condition(path, step)).transpose()?.flatten() {
            Some(condition) => Some(condition),
            None => own_condition,
        };
        let store = step.map(|step| &step.store_data).filter(|store| !store.is_empty()).unwrap_or(&found.store_data);
        let plan = CallPlan {
            connector: connector.as_str().into(),
            endpoint: endpoint.as_str().into(),
            request,
            bound: BoundHooks::new(|hook| hooks[hook as usize].len()),
            retry: retry.unwrap_or(Retry::NONE),
            polling: step.and_then(|step| step.polling),
            awaits: step.and_then(|step| step.awaits),
            renewable: document.connection.is_some(),
            idempotent: idempotent(found.idempotent, &found.method),
            accept: Accept::of_endpoint(found.status_code.as_ref()),
            payload_path: found.payload_path.as_deref().map(ResponsePath::parse),
            condition,
            store: paths(store),
            files: file_plan(&path, &found.files, found.encode, step_path.zip(step))?,
        };
        let redirects = found.redirects.unwrap_or(DEFAULT_REDIRECTS);
        let document_bytes = json_bytes(found) + json_bytes(&document.headers) + json_bytes(&document.hooks);
        let uses = uses(document.connection.as_ref(), &plan, &document.base_url);
        Ok(PreparedEndpoint { name, plan: plan.into(), uses, hooks, timeout: seconds(timeout), redirects, document_bytes })
    }

    /// A request written out in a step.
    async fn url(&self, path: &str, step: &Step, url: &str, flow: &Flow) -> Result<PreparedEndpoint, Fault> {
        let none = HookBindings::default();
        let hooks = self.hooks([&none, &step.hooks], None).await?;
        let (request, condition) = RequestTemplate::read(step_source(path, step, url, flow))?;
        let idempotent = idempotent(step.idempotent, &request.method);
        let plan = CallPlan {
            connector: "".into(),
            endpoint: step.name().into(),
            request,
            bound: BoundHooks::new(|hook| hooks[hook as usize].len()),
            retry: step.retry.unwrap_or(Retry::NONE),
            polling: step.polling,
            awaits: step.awaits,
            renewable: step.connection.is_some(),
            idempotent,
            accept: Accept::of_url_step(step.status_code.as_ref()),
            payload_path: None,
            condition,
            store: paths(&step.store_data),
            files: file_plan(path, &step.files, step.encode, Some((path, step)))?,
        };
        Ok(PreparedEndpoint {
            name: step.name().to_owned(),
            uses: uses(step.connection.as_ref(), &plan, url),
            plan: plan.into(),
            hooks,
            timeout: seconds(step.timeout_s),
            redirects: DEFAULT_REDIRECTS,
            // The step counts with its flow; what the flow gives to every step is there once more.
            document_bytes: if step.headers.is_empty() { json_bytes(&flow.headers) } else { 0 },
        })
    }

    /// The wider definition's lists come first; a step's list for a hook stands in place of the narrower one's.
    async fn hooks(&self, [wide, narrow]: [&HookBindings; 2], step: Option<&HookBindings>) -> Result<[Vec<PreparedBinding>; 5], Fault> {
        let mut hooks: [Vec<PreparedBinding>; 5] = Default::default();
        for hook in Hook::ALL {
            let own = step.filter(|step| step.has(hook)).unwrap_or(narrow);
            for binding in wide.of(hook).iter().chain(own.of(hook)) {
                if let Some(list) = hooks.get_mut(hook as usize) {
                    list.push(self.binding(binding).await?);
                }
            }
        }
        Ok(hooks)
    }

    async fn trigger(&self, trigger: &Trigger) -> Result<PreparedTrigger, Fault> {
        let binding = match trigger.binding() {
            Some(binding) => Some(self.binding(&binding).await?),
            None => None,
        };
        Ok(PreparedTrigger { auth: trigger.auth.clone(), key: result_key(trigger.name()), binding })
    }

    async fn binding(&self, binding: &Binding) -> Result<PreparedBinding, Fault> {
        let Binding { script, version, parms } = binding;
        let version = version.ok_or_else(|| Fault::new(Code::Conflict, format!("script `{script}` is bound without a version")))?;
        let program = self.programs.load(self.tenant, script, version).await?;
        let parms = serde_json::to_string(parms).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        Ok(PreparedBinding { script: script.clone(), version, parms: parms.into(), program })
    }
}

/// Checks every template of a connector, as preparing its endpoints does.
///
/// # Errors
/// `invalid` with path, line and column; `url` for a base URL that is none.
pub(crate) fn check_connector(document: &Connector) -> Result<(), Fault> {
    let mut count = TemplateCount::default();
    count.add("headers", &json!(document.headers))?;
    for (name, endpoint) in &document.endpoints {
        let own = Endpoint { hooks: HookBindings::default(), ..endpoint.clone() };
        count.add(&format!("endpoints.{name}"), &json!(own))?;
    }
    for (name, endpoint) in &document.endpoints {
        let path = format!("endpoints.{name}");
        RequestTemplate::read(endpoint_source(&path, document, endpoint)).map_err(|fault| at_save(fault, "base_url"))?;
        file_plan(&path, &endpoint.files, endpoint.encode, None)?;
    }
    Ok(())
}

/// A literal URL that is none is a fault of the upstream's address when it is asked, and of the document when it is saved.
fn at_save(fault: Fault, field: &str) -> Fault {
    if fault.code == Code::Url { Fault::new(Code::Invalid, fault.detail).in_field(field) } else { fault }
}

/// Checks every template of a flow's own requests, as preparing it does.
///
/// # Errors
/// As [`check_connector`].
pub(crate) fn check_flow(document: &Flow) -> Result<(), Fault> {
    document.check_result_keys()?;
    let mut count = TemplateCount::default();
    count.add("headers", &json!(document.headers))?;
    for (i, step) in document.steps.iter().enumerate() {
        // What scripts are bound with is theirs, and no template.
        let mut own = step.clone();
        (own.hooks, own.parms) = (HookBindings::default(), serde_json::Map::new());
        count.add(&document.path_of(i), &json!(own))?;
    }
    for (i, step) in document.steps.iter().enumerate() {
        let path = document.path_of(i);
        file_plan(&path, &step.files, step.encode, Some((&path, step)))?;
        match step.action()? {
            StepAction::Url(url) => {
                let read = RequestTemplate::read(step_source(&path, step, url, document));
                read.map_err(|fault| at_save(fault, &format!("{path}.url")))?;
            }
            StepAction::Call { .. } => drop(step_condition(&path, step)?),
            StepAction::Script(_) => {}
        }
    }
    Ok(())
}

/// An endpoint's request. Arguments travel in the body, but for methods whose requests have none (RFC 9110, 9.3.1): there `data` alone makes one.
fn endpoint_source<'a>(path: &'a str, connector: &'a Connector, endpoint: &'a Endpoint) -> Source<'a> {
    let own = |name: &str| endpoint.headers.keys().any(|own| own.eq_ignore_ascii_case(name));
    let wide = connector.headers.iter().filter(|(name, _)| !own(name) && !is_of_encode(endpoint.encode, name)).collect();
    Source {
        path,
        method: endpoint.method.clone(),
        url: SourceUrl::Below { base: &connector.base_url, path: &endpoint.path, query: &endpoint.query },
        headers: vec![("headers".to_owned(), wide), (format!("{path}.headers"), endpoint.headers.iter().collect())],
        data: endpoint.data.as_ref(),
        encode: endpoint.encode,
        // Beside files there are fields only where `data` names them: a payload is no list of fields by itself.
        otherwise: match endpoint.method.as_str() {
            "GET" | "HEAD" => Body::None,
            _ if !endpoint.files.is_empty() => Body::None,
            _ => Body::Arguments,
        },
        condition: endpoint.continue_if.as_ref(),
    }
}

/// The request of a step with a URL of its own.
fn step_source<'a>(path: &'a str, step: &'a Step, url: &'a str, flow: &'a Flow) -> Source<'a> {
    let method = step.method.as_deref().unwrap_or(if step.data.is_some() || !step.files.is_empty() { "POST" } else { "GET" });
    let headers = if step.headers.is_empty() {
        ("headers".to_owned(), flow.headers.iter().filter(|(name, _)| !is_of_encode(step.encode, name)).collect())
    } else {
        (format!("{path}.headers"), step.headers.iter().collect())
    };
    Source {
        path,
        method: method.to_owned(),
        url: SourceUrl::Whole(url),
        headers: vec![headers],
        data: step.data.as_ref(),
        encode: step.encode,
        otherwise: Body::None,
        condition: step.continue_if.as_ref(),
    }
}

impl RequestTemplate {
    /// The request that a step of a flow writes out, for whoever wants to look at one without running anything.
    ///
    /// # Errors
    /// `not-found` for a step without a URL; `invalid` and `url` as when the flow is saved.
    pub fn of_step(flow: &Flow, step: usize) -> Result<Self, Fault> {
        let path = flow.path_of(step);
        let found = flow.steps.get(step).and_then(|step| step.url.as_deref().map(|url| (step, url)));
        let (step, url) = found.ok_or_else(|| Fault::new(Code::NotFound, format!("{path} has no URL")))?;
        Self::read(step_source(&path, step, url, flow)).map(|(request, _)| request)
    }
}

/// A step's own condition on an endpoint's response.
fn step_condition(path: &str, step: &Step) -> Result<Option<Condition>, Fault> {
    step.continue_if.as_ref().map(|condition| Condition::read(path, condition)).transpose()
}

/// Whether a header of a wider definition gives way: where `encode` says how data is sent, the body's media type follows from it.
fn is_of_encode(encode: Option<Encode>, name: &str) -> bool {
    encode.is_some_and(|encode| encode != Encode::Json) && name.eq_ignore_ascii_case("content-type")
}

/// The files that a request sends, and the name that a step keeps its response under.
fn file_plan(path: &str, sent: &BTreeMap<String, String>, encode: Option<Encode>, step: Option<(&str, &Step)>) -> Result<FilePlan, Fault> {
    let save_as = step.and_then(|(path, step)| Some((format!("{path}.save_as_file"), step.save_as_file.as_deref()?)));
    FilePlan::read(&format!("{path}.files"), sent, encode, save_as.as_ref().map(|(path, name)| (path.as_str(), *name)))
}

/// What the requests of a plan may use of the tenant's secrets.
fn uses(connection: Option<&Name>, plan: &CallPlan, url: &str) -> Uses {
    Uses { connection: connection.cloned(), secrets: plan.needs().secrets.into_iter().collect(), own_host: host_of(url) }
}

/// Methods whose repetition does no harm (RFC 9110, 9.2.2), where the document does not say otherwise.
fn idempotent(said: Option<bool>, method: &str) -> bool {
    said.unwrap_or(matches!(method, "GET" | "HEAD" | "PUT" | "DELETE"))
}

fn paths(store: &BTreeMap<String, String>) -> Vec<(String, ResponsePath)> {
    store.iter().map(|(name, path)| (name.clone(), ResponsePath::parse(path))).collect()
}

/// An absolute URL.
pub(crate) fn parse_url(text: &str) -> Result<Url, Fault> {
    Url::parse(text).map_err(|error| Fault::new(Code::Url, format!("`{text}` is no URL: {error}")))
}

fn seconds(timeout_s: Option<u32>) -> Duration {
    Duration::from_secs(timeout_s.unwrap_or(DEFAULT_TIMEOUT_S).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use snaphook_model::{Connector, Endpoint};

    use super::endpoint_source;
    use crate::template::RequestTemplate;

    fn request(connector: serde_json::Value, endpoint: serde_json::Value) -> RequestTemplate {
        let connector: Connector = serde_json::from_value(connector).unwrap();
        let endpoint: Endpoint = serde_json::from_value(endpoint).unwrap();
        RequestTemplate::read(endpoint_source("endpoints.x", &connector, &endpoint)).unwrap().0
    }

    #[test]
    fn urls_are_put_together() {
        let cases = [
            ("https://a.example", json!({"path": ""}), "https://a.example/"),
            ("https://a.example/v2/", json!({"path": "/x", "query": {"q": "a b"}}), "https://a.example/v2/x?q=a+b"),
            ("https://a.example/v2?key=1", json!({"path": "/x?y=2", "query": {"z": "3"}}), "https://a.example/v2/x?key=1&y=2&z=3"),
        ];
        for (base, mut endpoint, url) in cases {
            endpoint["method"] = "GET".into();
            assert_eq!(request(json!({"base_url": base, "endpoints": {}}), endpoint).url, url);
        }
    }

    #[test]
    fn narrower_headers_win() {
        let connector = json!({"base_url": "https://a.example", "headers": {"Accept": "a", "x-b": "b"}, "endpoints": {}});
        let found = request(connector, json!({"method": "GET", "path": "", "headers": {"accept": "c"}}));
        assert_eq!(found.headers.0, [("x-b".to_owned(), "b".to_owned()), ("accept".to_owned(), "c".to_owned())]);
    }
}
