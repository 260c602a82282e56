//! Where scripts are bound: the places for them in the documents of connectors and flows.

use serde_json::Value;

use crate::client::{Client, segment};
use crate::problem::CliError;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Connector,
    Flow,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Connector, Self::Flow];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Flow => "flow",
        }
    }

    /// The list of them in the API; a name follows.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Connector => "/v1/connectors",
            Self::Flow => "/v1/flows",
        }
    }
}

/// The stored document of a connector or a flow.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// As one would write it: without what the node adds.
    pub(crate) document: Value,
}

/// One binding in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Where in the document, as a JSON pointer: an object with `script` and `version`.
    pub(crate) pointer: String,
    /// The endpoint or step; absent for what is the document's own.
    pub(crate) part: Option<String>,
    pub(crate) hook: String,
    pub(crate) script: String,
    /// Absent in a document that was not stored yet: the latest.
    pub(crate) version: Option<u64>,
}

impl Stored {
    /// Takes an answer of the node.
    pub(crate) fn of(kind: Kind, mut answer: Value) -> Self {
        let name = answer["name"].as_str().unwrap_or_default().to_owned();
        if let Some(document) = answer.as_object_mut() {
            for added in ["name", "version", "updated_at"] {
                document.shift_remove(added);
            }
        }
        Self { kind, name, document: answer }
    }

    /// One of a name; none where there is none.
    pub(crate) async fn get(client: &Client, kind: Kind, name: &str) -> Result<Option<Self>, CliError> {
        let answer = client.get(&format!("{}/{}", kind.path(), segment(name))).await?;
        match answer.status {
            404 => Ok(None),
            _ => Ok(Some(Self::of(kind, answer.checked()?.json()))),
        }
    }

    /// All of the tenant.
    pub(crate) async fn all(client: &Client) -> Result<Vec<Self>, CliError> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            client.each(kind.path(), usize::MAX, |answer| all.push(Self::of(kind, answer))).await?;
        }
        Ok(all)
    }

    /// Stores it as it is now, and gives the node's answer.
    pub(crate) async fn put(&self, client: &Client) -> Result<Value, CliError> {
        let path = format!("{}/{}", self.kind.path(), segment(&self.name));
        Ok(client.send_json("PUT", &path, &self.document).await?.checked()?.json())
    }

    /// Its bindings, in the order in which they run.
    pub(crate) fn bindings(&self) -> Vec<Bound> {
        match self.kind {
            Kind::Connector => of_connector(&self.document),
            Kind::Flow => of_flow(&self.document),
        }
    }

    /// A place as people name it: `shop/create-order pre-hook`.
    pub(crate) fn place(&self, part: Option<&str>, hook: &str) -> String {
        let part = part.map(|part| format!("/{part}")).unwrap_or_default();
        format!("{} {}{part} {hook}", self.kind.word(), self.name)
    }
}

fn of_connector(document: &Value) -> Vec<Bound> {
    let mut found = of_hooks(document, "", None);
    for (endpoint, value) in document["endpoints"].as_object().into_iter().flatten() {
        found.extend(of_hooks(value, &format!("/endpoints/{}", escaped(endpoint)), Some(endpoint)));
    }
    found
}

fn of_flow(document: &Value) -> Vec<Bound> {
    let mut found: Vec<Bound> = bound(&document["trigger"], "/trigger".to_owned(), None, "trigger").into_iter().collect();
    for (i, step) in document["steps"].as_array().into_iter().flatten().enumerate() {
        let (pointer, name) = (format!("/steps/{i}"), step_name(i, step));
        found.extend(bound(step, pointer.clone(), Some(&name), "step"));
        found.extend(of_hooks(step, &pointer, Some(&name)));
    }
    found
}

/// As the node names a step that has none.
pub(crate) fn step_name(i: usize, step: &Value) -> String {
    step["name"].as_str().map_or_else(|| format!("step-{}", i + 1), str::to_owned)
}

fn of_hooks(value: &Value, pointer: &str, part: Option<&str>) -> Vec<Bound> {
    let hooks = value["hooks"].as_object().into_iter().flatten();
    let listed =
        hooks.flat_map(|(hook, list)| list.as_array().into_iter().flatten().enumerate().map(move |(i, binding)| (hook, i, binding)));
    listed.filter_map(|(hook, i, binding)| bound(binding, format!("{pointer}/hooks/{hook}/{i}"), part, hook)).collect()
}

fn bound(value: &Value, pointer: String, part: Option<&str>, hook: &str) -> Option<Bound> {
    let script = value["script"].as_str()?.to_owned();
    Some(Bound { pointer, part: part.map(str::to_owned), hook: hook.to_owned(), script, version: value["version"].as_u64() })
}

/// A key as it stands in a JSON pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Kind, Stored};

    #[test]
    fn every_place_of_a_script_is_found_and_nothing_that_only_looks_like_one() {
        let connector = json!({"name": "shop", "updated_at": "…", "base_url": "u", "hooks": {"pre-request": [{"script": "sign", "version": 2}]},
            "endpoints": {"x": {"data": {"script": "no", "version": 1}, "hooks": {"pre-hook": [{"script": "a", "version": 1}, {"script": "b"}]}}}});
        let flow = json!({"name": "orders", "version": 7, "trigger": {"auth": "none", "script": "intake", "version": 3},
            "steps": [{"script": "shape", "version": 4}, {"name": "Tell", "url": "u", "hooks": {"post-request": [{"script": "check", "version": 5}]}}]});
        let shown = |kind, document| {
            let stored = Stored::of(kind, document);
            let place = |bound: &super::Bound| {
                let found = stored.document.pointer(&bound.pointer).map(|value| value["script"].clone());
                assert_eq!(found, Some(json!(bound.script)), "{}", bound.pointer);
                format!("{}: {}@{:?}", stored.place(bound.part.as_deref(), &bound.hook), bound.script, bound.version)
            };
            (stored.bindings().iter().map(place).collect::<Vec<_>>(), stored.document)
        };
        let (places, document) = shown(Kind::Connector, connector);
        assert_eq!(
            places,
            ["connector shop pre-request: sign@Some(2)", "connector shop/x pre-hook: a@Some(1)", "connector shop/x pre-hook: b@None"]
        );
        assert!(document["name"].is_null() && document["updated_at"].is_null());
        let (places, _) = shown(Kind::Flow, flow);
        assert_eq!(
            places,
            [
                "flow orders trigger: intake@Some(3)",
                "flow orders/step-1 step: shape@Some(4)",
                "flow orders/Tell post-request: check@Some(5)"
            ]
        );
    }
}
