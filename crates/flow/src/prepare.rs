//! Resolves definitions into their prepared form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use snaphook_model::connector::DEFAULT_TIMEOUT_S;
use snaphook_model::files::NO_SCRIPT_BESIDE_FILES;
use snaphook_model::{
    Binding, Code, Connector, Endpoint, Fault, Flow, Headers, Hook, HookBindings, Name, Step, StepAction, TenantName, Trigger, Variables,
};
use snaphook_store::Store;
use url::Url;

use crate::machine::{Accept, Body, BoundHooks, CallPlan, FilePlan, PayloadPath, RequestTemplate};
use crate::prepared::{PreparedAction, PreparedBinding, PreparedEndpoint, PreparedFlow, PreparedStep, PreparedTrigger};
use crate::programs::Programs;
use crate::runner::RunnerParts;

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
        let within = |fault: Fault| if fault.path.is_none() { fault.in_field(format!("steps[{i}]")) } else { fault };
        let action = match step.action().map_err(Fault::from).map_err(within)? {
            StepAction::Call { connector, endpoint } => {
                if !connectors.contains_key(&connector) {
                    let read = read_connector(&*parts.store, tenant, &connector).await.map_err(within)?;
                    connectors.insert(connector.clone(), read);
                }
                let found = (&connector, &connectors[&connector]);
                let prepared = loader.call(step.name().to_owned(), found, &endpoint, Some(step)).await;
                PreparedAction::Request(Box::new(prepared.map_err(within)?))
            }
            StepAction::Url(url) => PreparedAction::Request(Box::new(loader.url(step, url, document).await.map_err(within)?)),
            StepAction::Script(binding) => {
                PreparedAction::Script(loader.binding(&binding).await.map_err(within)?, step.on_error.unwrap_or_default())
            }
        };
        steps.push(PreparedStep { name: step.name().into(), key: camel_case(step.name()), action });
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
    let document_bytes = json_bytes(document);
    let (name, variables, retry) = (name.clone(), Arc::new(variables), document.retry);
    Ok(PreparedFlow { name, version, trigger, steps, variables, retry, scripted, document_bytes })
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
        step: Option<&Step>,
    ) -> Result<PreparedEndpoint, Fault> {
        let found = document.endpoints.get(endpoint);
        let found = found.ok_or_else(|| Fault::new(Code::NotFound, format!("connector `{connector}` has no endpoint `{endpoint}`")))?;
        let hooks = self.hooks([&document.hooks, &found.hooks], step.map(|step| &step.hooks)).await?;
        if !found.files.is_empty() && !hooks[Hook::PreRequest as usize].is_empty() {
            return Err(Fault::new(Code::Invalid, NO_SCRIPT_BESIDE_FILES).in_field("hooks.pre-request"));
        }
        let retry = step.and_then(|step| step.retry).or(found.retry);
        let timeout = step.and_then(|step| step.timeout_s).or(found.timeout_s).or(document.timeout_s);
        let plan = CallPlan {
            connector: connector.as_str().into(),
            endpoint: endpoint.as_str().into(),
            request: RequestTemplate {
                method: found.method.clone(),
                url: endpoint_url(&document.base_url, found)?,
                headers: merged(&document.headers, &found.headers),
                body: body_of_endpoint(found),
            },
            bound: BoundHooks::new(|hook| hooks[hook as usize].len()),
            retries: retry.map_or(0, |retry| retry.attempts),
            accept: Accept::of_endpoint(found.status_code.as_ref()),
            payload_path: found.payload_path.as_deref().map(PayloadPath::parse),
            files: files(&found.files, step),
        };
        let redirects = found.redirects.unwrap_or(DEFAULT_REDIRECTS);
        let document_bytes = json_bytes(found) + json_bytes(&document.headers) + json_bytes(&document.hooks);
        Ok(PreparedEndpoint { name, plan, hooks, timeout: seconds(timeout), redirects, document_bytes })
    }

    /// A request written out in a step.
    async fn url(&self, step: &Step, url: &str, flow: &Flow) -> Result<PreparedEndpoint, Fault> {
        let none = HookBindings::default();
        let hooks = self.hooks([&none, &step.hooks], None).await?;
        let body = step.data.as_ref().map_or(Body::None, |data| Body::Data(data.to_string().into()));
        let method = step.method.as_deref().unwrap_or(if step.data.is_some() || !step.files.is_empty() { "POST" } else { "GET" });
        let headers = if step.headers.is_empty() { &flow.headers } else { &step.headers };
        let plan = CallPlan {
            connector: "".into(),
            endpoint: step.name().into(),
            request: RequestTemplate {
                method: method.to_owned(),
                url: parse_url(url)?.into(),
                headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
                body,
            },
            bound: BoundHooks::new(|hook| hooks[hook as usize].len()),
            retries: step.retry.map_or(0, |retry| retry.attempts),
            accept: Accept::of_url_step(step.status_code.as_ref()),
            payload_path: None,
            files: files(&step.files, Some(step)),
        };
        Ok(PreparedEndpoint {
            name: step.name().to_owned(),
            plan,
            hooks,
            timeout: seconds(step.timeout_s),
            redirects: DEFAULT_REDIRECTS,
            // The step counts with its flow; what the flow gives to every step is there once more.
            document_bytes: json_bytes(headers),
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
        Ok(PreparedTrigger { auth: trigger.auth.clone(), key: camel_case(trigger.name()), binding })
    }

    async fn binding(&self, binding: &Binding) -> Result<PreparedBinding, Fault> {
        let Binding { script, version, parms } = binding;
        let version = version.ok_or_else(|| Fault::new(Code::Conflict, format!("script `{script}` is bound without a version")))?;
        let program = self.programs.load(self.tenant, script, version).await?;
        let parms = serde_json::to_string(parms).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        Ok(PreparedBinding { script: script.clone(), version, parms: parms.into(), program })
    }
}

/// The files that a request sends, and the name that a step keeps its response under.
fn files(sent: &BTreeMap<String, String>, step: Option<&Step>) -> FilePlan {
    let sent = sent.iter().map(|(field, name)| (field.clone(), name.clone())).collect();
    FilePlan { sent, save_as: step.and_then(|step| step.save_as_file.clone()) }
}

/// Arguments travel in the body, but for methods whose requests have none (RFC 9110, 9.3.1): there `data` alone makes one.
fn body_of_endpoint(endpoint: &Endpoint) -> Body {
    match &endpoint.data {
        Some(data) => Body::Data(Bytes::from(data.to_string())),
        // Beside files there are fields only where `data` names them: a payload is no list of fields by itself.
        None if !endpoint.files.is_empty() || matches!(endpoint.method.as_str(), "GET" | "HEAD") => Body::None,
        None => Body::Arguments,
    }
}

fn endpoint_url(base: &str, endpoint: &Endpoint) -> Result<String, Fault> {
    let (front, query) = base.split_once('?').map_or((base, None), |(front, query)| (front, Some(query)));
    let front = if endpoint.path.is_empty() { front } else { front.trim_end_matches('/') };
    let mut url = parse_url(&format!("{front}{}", endpoint.path))?;
    if let Some(query) = query {
        let both = [query, url.query().unwrap_or_default()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("&");
        url.set_query(Some(&both));
    }
    if !endpoint.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&endpoint.query);
    }
    Ok(url.into())
}

/// An absolute URL.
pub(crate) fn parse_url(text: &str) -> Result<Url, Fault> {
    Url::parse(text).map_err(|error| Fault::new(Code::Url, format!("`{text}` is no URL: {error}")))
}

fn merged(wide: &BTreeMap<String, String>, narrow: &BTreeMap<String, String>) -> Headers {
    let wide = wide.iter().filter(|(name, _)| !narrow.keys().any(|own| own.eq_ignore_ascii_case(name)));
    wide.chain(narrow).map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect()
}

fn seconds(timeout_s: Option<u32>) -> Duration {
    Duration::from_secs(timeout_s.unwrap_or(DEFAULT_TIMEOUT_S).into())
}

/// `Get Data from API` becomes `getDataFromApi`: words begin at a capital after a small letter or digit and after whatever is neither letter nor digit.
fn camel_case(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    let (mut begins, mut small_before) = (true, false);
    for c in name.chars() {
        if !c.is_alphanumeric() {
            (begins, small_before) = (true, false);
            continue;
        }
        if begins || (c.is_uppercase() && small_before) {
            if key.is_empty() { key.extend(c.to_lowercase()) } else { key.extend(c.to_uppercase()) }
        } else {
            key.extend(c.to_lowercase());
        }
        (begins, small_before) = (false, !c.is_uppercase());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::{camel_case, endpoint_url, merged};

    #[test]
    fn step_names_become_keys() {
        let cases = [
            ("Get Data from API", "getDataFromApi"),
            ("step-1", "step1"),
            ("Create order", "createOrder"),
            ("alreadyCamel", "alreadyCamel"),
            ("  ", ""),
            ("über uns", "überUns"),
        ];
        for (name, key) in cases {
            assert_eq!(camel_case(name), key, "{name}");
        }
    }

    #[test]
    fn urls_are_put_together() {
        let endpoint = |path: &str, query: &[(&str, &str)]| {
            let query: serde_json::Map<_, _> = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
            serde_json::from_value(serde_json::json!({"method": "GET", "path": path, "query": query})).unwrap()
        };
        let cases = [
            ("https://a.example", endpoint("", &[]), "https://a.example/"),
            ("https://a.example/v2/", endpoint("/x", &[("q", "a b")]), "https://a.example/v2/x?q=a+b"),
            ("https://a.example/v2?key=1", endpoint("/x?y=2", &[("z", "3")]), "https://a.example/v2/x?key=1&y=2&z=3"),
        ];
        for (base, endpoint, url) in cases {
            assert_eq!(endpoint_url(base, &endpoint).unwrap(), url);
        }
    }

    #[test]
    fn narrower_headers_win() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let headers = merged(&map(&[("Accept", "a"), ("x-b", "b")]), &map(&[("accept", "c")]));
        assert_eq!(headers.0, [("x-b".to_owned(), "b".to_owned()), ("accept".to_owned(), "c".to_owned())]);
    }
}
