//! Spans that have ended, on their way to whoever exports them.

use std::sync::OnceLock;

use jiff::Timestamp;
use snaphook_model::Code;

use crate::spans::SpanName;
use crate::trace::{SpanId, TraceContext};

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its names.
    pub context: TraceContext,
    /// The span that it hangs below.
    pub parent: Option<SpanId>,
    /// What it is.
    pub name: SpanName,
    /// When it began.
    pub start: Timestamp,
    /// When it ended; not before it began.
    pub end: Timestamp,
    /// Why it failed.
    pub failed: Option<Code>,
    /// What is told of it.
    pub attributes: Attributes,
}

/// What is told of a span, by the names that the table has for it.
#[derive(Debug, Clone)]
pub struct Attributes {
    name: SpanName,
    set: Vec<(&'static str, Value)>,
}

/// A text or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl Attributes {
    pub(crate) fn of(name: SpanName) -> Self {
        Self { name, set: Vec::with_capacity(name.description().attributes.len()) }
    }

    /// Tells something. What the table does not have for this span is a mistake of ours, and left out.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let known = self.name.description().attributes.iter().any(|known| known.name == name);
        debug_assert!(known, "the table of spans has no `{name}` for `{}`", self.name.as_str());
        if known {
            self.set.push((name, value.into()));
        }
    }

    /// The same where there is something to tell.
    pub fn set_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// What was told, in order.
    #[must_use]
    pub fn into_inner(self) -> Vec<(&'static str, Value)> {
        self.set
    }
}

/// Takes spans away, without waiting for anybody.
pub trait SpanSink: Send + Sync {
    /// Takes one. What cannot be exported in time is dropped.
    fn take(&self, span: Span);
}

struct Exporting {
    sink: Box<dyn SpanSink>,
    ratio: f64,
}

static EXPORTING: OnceLock<Exporting> = OnceLock::new();

/// From now on all spans go to this sink. Of traces that begin here so many are recorded, from 0 to 1; of those that callers began, what they say.
/// Only the first call of a process counts.
pub fn export_to(sink: Box<dyn SpanSink>, ratio: f64) {
    drop(EXPORTING.set(Exporting { sink, ratio }));
}

/// The share of traces that are recorded; nothing while no spans are exported.
pub(crate) fn ratio() -> Option<f64> {
    EXPORTING.get().map(|exporting| exporting.ratio)
}

pub(crate) fn export(span: Span) {
    if let Some(exporting) = EXPORTING.get() {
        exporting.sink.take(span);
    }
}
