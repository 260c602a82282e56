//! What templates can name, and where it is found.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snaphook_model::{Payload, Variables};

use super::json;

/// Names and the places of their values in a text.
type Entries = Vec<(Box<str>, Range<usize>)>;

/// What the templates of one request see. Cheap to make: everything in it is shared.
#[derive(Debug, Clone, Default)]
pub struct Values {
    payload: Payload,
    pub(super) variables: Arc<Variables>,
    pub(super) run: Arc<RunValues>,
    /// Where the payload's own entries stand in its text, once a name has led there; none where it is no small object.
    entries: OnceLock<Option<Entries>>,
}

/// Payloads up to this size are looked through once for all names, larger ones for each: an index of theirs would take more than they do.
const INDEXED_BYTES: usize = 64 << 10;

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
    /// The first segment is looked for in all of a run's values.
    Bare,
}

/// A name and a path below it, such as `responses.0.id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) root: Root,
    pub(super) segments: Vec<Box<str>>,
}

/// What a definition's templates look at, so that nothing else is kept for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The subject's values.
    pub subject: bool,
    /// Responses to earlier requests.
    pub responses: bool,
    /// Results of earlier steps.
    pub steps: bool,
}

impl Needs {
    /// What either looks at.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { subject: self.subject || other.subject, responses: self.responses || other.responses, steps: self.steps || other.steps }
    }
}

impl Root {
    /// What a name at the beginning of a template means; none for words that this release has nothing for.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "payload" => Self::Payload,
            "subject" => Self::Subject,
            "variables" => Self::Variables,
            "meta" => Self::Meta,
            "config" => Self::Config,
            "responses" => Self::Responses,
            "steps" => Self::Steps,
            "connection" | "secrets" => return None,
            _ => Self::Bare,
        })
    }

    pub(super) const fn needs(self) -> Needs {
        Needs {
            subject: matches!(self, Self::Subject | Self::Bare),
            responses: matches!(self, Self::Responses),
            steps: matches!(self, Self::Steps),
        }
    }
}

impl Values {
    /// The arguments of the call, the variables and what else is known of the run.
    #[must_use]
    pub const fn new(payload: Payload, variables: Arc<Variables>, run: Arc<RunValues>) -> Self {
        Self { payload, variables, run, entries: OnceLock::new() }
    }

    /// The arguments of the call.
    pub(super) const fn arguments(&self) -> &Payload {
        &self.payload
    }

    /// The JSON text that a reference leads to.
    pub(super) fn find(&self, reference: &Reference) -> Option<Cow<'_, str>> {
        let Reference { root, segments } = reference;
        match root {
            Root::Payload => self.payload(segments),
            Root::Responses => match segments.split_first() {
                None => Some(Cow::Owned(list(&self.run.responses))),
                Some((index, rest)) => {
                    let response = self.run.responses.get(index.parse::<usize>().ok()?)?;
                    json::pick(std::str::from_utf8(response).ok()?, rest).ok()?.map(Cow::Borrowed)
                }
            },
            Root::Bare => {
                let (name, rest) = segments.split_first()?;
                let text = self.bare(name)?;
                json::pick(text, rest).ok()?.map(Cow::Borrowed)
            }
            Root::Subject | Root::Variables | Root::Meta | Root::Config | Root::Steps => {
                let map = self.map(*root)?;
                match segments.split_first() {
                    None => Some(Cow::Owned(object(map))),
                    Some((name, rest)) => json::pick(map.get(&**name)?, rest).ok()?.map(Cow::Borrowed),
                }
            }
        }
    }

    /// The value under a bare name: what came later in the run's life stands over what came earlier.
    pub(super) fn bare(&self, name: &str) -> Option<&str> {
        let RunValues { subject, generated, stored, .. } = &*self.run;
        [stored, generated, &self.variables.config, subject].into_iter().find_map(|values| values.get(name)).map(String::as_str)
    }

    /// All of a root.
    pub(super) fn whole(&self, root: Root) -> Option<Cow<'_, str>> {
        self.find(&Reference { root, segments: Vec::new() })
    }

    /// The values under a prefix.
    pub(super) fn map(&self, root: Root) -> Option<&BTreeMap<String, String>> {
        match root {
            Root::Subject => Some(&self.run.subject),
            Root::Variables => Some(&self.variables.variables),
            Root::Meta => Some(&self.variables.meta),
            Root::Config => Some(&self.variables.config),
            Root::Steps => Some(&self.variables.step_results),
            Root::Payload | Root::Responses | Root::Bare => None,
        }
    }

    /// A payload that is no JSON is a text; one that is no text either has no place in a template.
    fn payload(&self, segments: &[Box<str>]) -> Option<Cow<'_, str>> {
        if self.payload.bytes.is_empty() {
            return None;
        }
        let text = std::str::from_utf8(&self.payload.bytes).ok()?;
        if let Some((first, rest)) = segments.split_first()
            && let Some(entries) = self.entries(text)
        {
            let (_, range) = entries.iter().rev().find(|(name, _)| name == first)?;
            let value = text.get(range.clone())?;
            return if rest.is_empty() { Some(Cow::Borrowed(value)) } else { json::pick(value, rest).ok()?.map(Cow::Borrowed) };
        }
        if self.payload.is_json()
            && let Ok(found) = json::pick(text, segments)
        {
            return found.map(Cow::Borrowed);
        }
        segments.is_empty().then(|| Cow::Owned(serde_json::Value::from(text).to_string()))
    }

    fn entries(&self, text: &str) -> Option<&[(Box<str>, Range<usize>)]> {
        if text.len() > INDEXED_BYTES || !self.payload.is_json() {
            return None;
        }
        let index = || {
            let entries = json::entries(text)?;
            let range = |value: &str| {
                let begin = value.as_ptr() as usize - text.as_ptr() as usize;
                begin..begin + value.len()
            };
            Some(entries.into_iter().map(|(name, value)| (name.into(), range(value.get()))).collect())
        };
        self.entries.get_or_init(index).as_deref()
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
