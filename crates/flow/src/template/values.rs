//! What templates can name, and where it is found.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snaphook_model::{Fault, Payload, SecretName, Variables};

use super::filling::{Filling, INDEXED_BYTES, REQUEST_WORK};
use super::json;

/// What the templates of one request see, and what they may spend on looking. Cheap to make: everything in it is shared.
#[derive(Debug, Clone)]
pub struct Values {
    payload: Payload,
    pub(super) variables: Arc<Variables>,
    pub(super) run: Arc<RunValues>,
    /// Placeholders by name.
    secrets: Arc<BTreeMap<String, String>>,
    /// Shared by clones, which belong to the same request.
    pub(super) filling: Arc<Filling>,
}

/// What a run of a flow knows beside its variables. All values are JSON texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunValues {
    /// Whom the run is about: its values, and its id as `id` unless one of them has this name.
    pub subject: BTreeMap<String, String>,
    /// Made by chance when the run began.
    pub generated: BTreeMap<String, String>,
    /// Stored by earlier steps.
    pub stored: BTreeMap<String, String>,
    /// What the upstreams answered to earlier requests, in order; an empty object in place of what is no JSON.
    #[serde(with = "texts")]
    pub responses: Vec<Bytes>,
}

/// Texts that are shared rather than copied.
mod texts {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(texts: &[Bytes], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(texts.iter().map(|text| String::from_utf8_lossy(text)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bytes>, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(Bytes::from).collect())
    }
}

/// Where a name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Payload,
    Subject,
    Variables,
    Meta,
    Config,
    Responses,
    Steps,
    Connection,
    Secrets,
    /// The first segment is looked for in all of a run's values.
    Bare,
}

/// A name and a path below it, such as `responses.0.id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) root: Root,
    pub(super) segments: Vec<Box<str>>,
}

/// What a definition's templates look at, so that nothing else is kept for them, and how many they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Secrets, which have placeholders in templates.
    pub secrets: BTreeSet<SecretName>,
    /// The subject's values.
    pub subject: bool,
    /// Responses to earlier requests.
    pub responses: bool,
    /// Results of earlier steps.
    pub steps: bool,
    /// How many texts are filled in: each is kept taken apart.
    pub templates: u32,
    /// How many of them the engine runs, each of which it keeps compiled.
    pub programs: u32,
}

impl Needs {
    /// What either looks at.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.secrets.extend(other.secrets);
        Self {
            secrets: self.secrets,
            subject: self.subject || other.subject,
            responses: self.responses || other.responses,
            steps: self.steps || other.steps,
            templates: self.templates.saturating_add(other.templates),
            programs: self.programs.saturating_add(other.programs),
        }
    }
}

impl Root {
    /// What a name at the beginning of a template means.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "payload" => Self::Payload,
            "subject" => Self::Subject,
            "variables" => Self::Variables,
            "meta" => Self::Meta,
            "config" => Self::Config,
            "responses" => Self::Responses,
            "steps" => Self::Steps,
            "connection" => Self::Connection,
            "secrets" => Self::Secrets,
            _ => Self::Bare,
        }
    }

    pub(super) const fn needs(self) -> Needs {
        Needs {
            secrets: BTreeSet::new(),
            subject: matches!(self, Self::Subject | Self::Bare),
            responses: matches!(self, Self::Responses),
            steps: matches!(self, Self::Steps),
            templates: 0,
            programs: 0,
        }
    }
}

impl Values {
    /// The arguments of the call, the variables and what else is known of the run. Made anew for each request: what one request spends is not
    /// another's.
    #[must_use]
    pub fn new(payload: Payload, variables: Arc<Variables>, run: Arc<RunValues>) -> Self {
        Self { payload, variables, run, secrets: Arc::default(), filling: Arc::new(Filling::new(REQUEST_WORK)) }
    }

    /// The same with the placeholders of secrets, as JSON texts.
    #[must_use]
    pub(crate) fn with_secrets(self, secrets: Arc<BTreeMap<String, String>>) -> Self {
        Self { secrets, ..self }
    }

    /// The same for another try, which may spend so much.
    #[must_use]
    pub(crate) fn within(&self, work: u64) -> Self {
        Self { filling: Arc::new(Filling::new(work)), ..self.clone() }
    }

    /// The same for another request.
    #[must_use]
    pub(crate) fn afresh(&self) -> Self {
        self.within(REQUEST_WORK)
    }

    /// Whether a request failed for what it spent.
    pub(crate) fn are_spent(&self) -> bool {
        self.filling.is_spent()
    }

    /// Spends as a filling does.
    #[cfg(test)]
    pub(crate) fn spend_for_test(&self, work: u64) -> Result<(), Fault> {
        self.filling.spend(work)
    }

    /// The arguments of the call.
    pub(super) const fn arguments(&self) -> &Payload {
        &self.payload
    }

    /// The JSON text that a reference leads to.
    ///
    /// # Errors
    /// `template-limit` when the request has nothing left for looking.
    pub(super) fn find(&self, reference: &Reference) -> Result<Option<Cow<'_, str>>, Fault> {
        let Reference { root, segments } = reference;
        let found = match (root, segments.split_first()) {
            (_, None) => self.whole(*root)?,
            (Root::Payload, _) if self.payload.is_json() => self.pick(&self.payload.bytes, segments)?.map(Cow::Borrowed),
            (Root::Payload, _) => None,
            (Root::Responses, Some((index, rest))) => {
                let response = index.parse::<usize>().ok().and_then(|index| self.run.responses.get(index));
                response.map(|response| self.pick(response, rest)).transpose()?.flatten().map(Cow::Borrowed)
            }
            (_, Some((name, rest))) => {
                let text =
                    if *root == Root::Bare { self.bare(name) } else { self.map(*root).and_then(|map| Some(map.get(&**name)?.as_str())) };
                text.map(|text| self.pick(text.as_bytes(), rest)).transpose()?.flatten().map(Cow::Borrowed)
            }
        };
        // What is found is copied.
        self.filling.spend_bytes(found.as_ref().map_or(0, |found| found.len()))?;
        Ok(found)
    }

    /// The part of a JSON text under a path; none where there is nothing, or where the text is no JSON.
    fn pick<'t>(&self, text: &'t [u8], segments: &[Box<str>]) -> Result<Option<&'t str>, Fault> {
        let (mut text, mut rest) = (text.trim_ascii(), segments);
        while let Some((segment, below)) = rest.split_first()
            && text.len() >= INDEXED_BYTES
            && let Some(index) = self.filling.index(text)?
        {
            let Some(range) = index.below(segment) else { return Ok(None) };
            (text, rest) = (&text[range], below);
            if rest.is_empty() {
                // It was found to be JSON when it was taken apart.
                return Ok(std::str::from_utf8(text).ok());
            }
        }
        self.filling.spend_bytes(text.len() * rest.len().max(1))?;
        Ok(std::str::from_utf8(text).ok().and_then(|text| json::pick(text, rest).ok().flatten()))
    }

    /// The value under a bare name: what came later in the run's life stands over what came earlier.
    pub(super) fn bare(&self, name: &str) -> Option<&str> {
        let RunValues { subject, generated, stored, .. } = &*self.run;
        [stored, generated, &self.variables.config, subject].into_iter().find_map(|values| values.get(name)).map(String::as_str)
    }

    /// All of a root.
    pub(super) fn whole(&self, root: Root) -> Result<Option<Cow<'_, str>>, Fault> {
        self.filling.spend_bytes(self.bytes_of(root))?;
        Ok(match root {
            Root::Payload => self.whole_payload(),
            Root::Responses => Some(Cow::Owned(list(&self.run.responses))),
            _ => self.map(root).map(|map| Cow::Owned(object(map))),
        })
    }

    /// How long the text of all of a root is, about.
    pub(super) fn bytes_of(&self, root: Root) -> usize {
        match root {
            Root::Payload => self.payload.bytes.len(),
            Root::Responses => self.run.responses.iter().map(Bytes::len).sum(),
            _ => self.map(root).into_iter().flatten().map(|(name, value)| name.len() + value.len()).sum(),
        }
    }

    /// The values under a prefix.
    pub(super) fn map(&self, root: Root) -> Option<&BTreeMap<String, String>> {
        match root {
            Root::Subject => Some(&self.run.subject),
            Root::Variables => Some(&self.variables.variables),
            Root::Meta => Some(&self.variables.meta),
            Root::Config => Some(&self.variables.config),
            Root::Steps => Some(&self.variables.step_results),
            Root::Connection => Some(&self.variables.connection),
            Root::Secrets => Some(&self.secrets),
            Root::Payload | Root::Responses | Root::Bare => None,
        }
    }

    /// A payload that is no JSON is a text; one that is no text either has no place in a template.
    fn whole_payload(&self) -> Option<Cow<'_, str>> {
        if self.payload.bytes.is_empty() {
            return None;
        }
        let text = std::str::from_utf8(&self.payload.bytes).ok()?;
        if self.payload.is_json()
            && let Ok(found) = json::pick::<&str>(text, &[])
        {
            return found.map(Cow::Borrowed);
        }
        Some(Cow::Owned(serde_json::Value::from(text).to_string()))
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::new(Payload::default(), Arc::default(), Arc::default())
    }
}

/// An object of JSON texts.
pub(super) fn object(map: &BTreeMap<String, String>) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push('"');
        json::write_escaped(&mut out, name);
        out.push_str("\":");
        out.push_str(value);
    }
    out.push('}');
    out
}

fn list(texts: &[Bytes]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| std::str::from_utf8(text).unwrap_or("{}")).collect();
    format!("[{}]", texts.join(","))
}
