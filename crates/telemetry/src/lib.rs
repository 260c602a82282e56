//! What a node tells of itself: metrics that a Prometheus reads, and spans that go to a collector.
//!
//! Every metric and every span stands in one table each ([`METRICS`], [`SPANS`]), from which `docs/telemetry.md` is made. A label has values of
//! the program's own alone: its type is `&'static str`, so that nothing which a tenant has named, sent or received can become a series. Spans
//! name tenants, flows and scripts, but never hold what these said: no URL, header, body, message or log.
//!
//! The crate opens nothing. Who assembles a node lends it a [`SpanSink`]; without one no span is made.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod counted;
mod document;
mod invocations;
mod metric;
mod process;
mod span;
mod spans;
mod table;
mod trace;

pub use counted::{Held, Lookups, held, status_class};
pub use document::document;
pub use invocations::{Invoked, invoked};
pub use metric::{Counter, Description, Gauge, Histogram, Kind};
pub use span::{Attributes, Span, SpanSink, Value, export_to};
pub use spans::{AttributeDescription, SPANS, SpanDescription, SpanKind, SpanName};
pub use table::{METRICS, Metrics, metrics};
pub use trace::{Opened, SpanId, TraceContext, TraceId, current, is_on, within};

/// All metrics in Prometheus' text form, with this process's own figures as they are now.
#[must_use]
pub fn render() -> String {
    process::observe(metrics());
    metric::render()
}

/// The media type of [`render`].
pub const RENDERED: &str = "text/plain; version=0.0.4; charset=utf-8";
