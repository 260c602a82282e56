//! The three kinds of metric, over one registry.

use std::sync::LazyLock;

use prometheus::{Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

/// What a metric is, for those who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// As it is now.
    Gauge,
    /// Counts values in classes of their size; `_sum` and `_count` beside them.
    Histogram,
}

impl Kind {
    /// The word in the text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A row of the table of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// As it is scraped, with its unit; a histogram's series end in `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// Upper bounds of a histogram's classes; empty for the others.
    pub bounds: &'static [f64],
}

/// Bounds for what takes microseconds as a rule: invocations, and writing to a store.
pub(crate) const SHORT: &[f64] =
    &[0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];
/// Bounds for what waits for others: requests, runs, compiling.
pub(crate) const LONG: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
/// Bounds for fuel.
pub(crate) const FUEL: &[f64] = &[1e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9];
/// Bounds for records written at once.
pub(crate) const RECORDS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0];

/// Everything that this process counts. There is one: whoever counts something has no other way to reach it.
static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// A counter with `N` labels.
pub struct Counter<const N: usize>(IntCounterVec);

/// A gauge with `N` labels.
pub struct Gauge<const N: usize>(IntGaugeVec);

/// A histogram with `N` labels.
pub struct Histogram<const N: usize>(HistogramVec);

impl<const N: usize> Counter<N> {
    pub(crate) fn new(described: &Description) -> Self {
        let counter = IntCounterVec::new(Opts::new(described.name, described.help), described.labels);
        Self(registered(counter, described.name, N == 0, |counter| drop(counter.with_label_values::<&str>(&[]))))
    }

    /// Adds one to the series with these labels, in the order of the table.
    pub fn count(&self, labels: [&'static str; N]) {
        self.add(labels, 1);
    }

    pub(crate) fn series(&self, labels: [&'static str; N]) -> prometheus::IntCounter {
        self.0.with_label_values(&labels)
    }

    /// Adds so many.
    pub fn add(&self, labels: [&'static str; N], more: u64) {
        self.0.with_label_values(&labels).inc_by(more);
    }
}

impl<const N: usize> Gauge<N> {
    pub(crate) fn new(described: &Description) -> Self {
        let gauge = IntGaugeVec::new(Opts::new(described.name, described.help), described.labels);
        Self(registered(gauge, described.name, N == 0, |gauge| drop(gauge.with_label_values::<&str>(&[]))))
    }

    /// Sets the series with these labels.
    pub fn set(&self, labels: [&'static str; N], value: u64) {
        self.0.with_label_values(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(crate) fn series(&self, labels: [&'static str; N]) -> prometheus::IntGauge {
        self.0.with_label_values(&labels)
    }
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn new(described: &Description) -> Self {
        let options = HistogramOpts::new(described.name, described.help).buckets(described.bounds.to_vec());
        let histogram = HistogramVec::new(options, described.labels);
        Self(registered(histogram, described.name, N == 0, |histogram| drop(histogram.with_label_values::<&str>(&[]))))
    }

    /// Counts a value.
    pub fn observe(&self, labels: [&'static str; N], value: f64) {
        self.0.with_label_values(&labels).observe(value);
    }

    /// Counts a time, in seconds.
    pub fn took(&self, labels: [&'static str; N], time: std::time::Duration) {
        self.observe(labels, time.as_secs_f64());
    }

    pub(crate) fn series(&self, labels: [&'static str; N]) -> prometheus::Histogram {
        self.0.with_label_values(&labels)
    }
}

/// Registers it. What has no labels is there from the first scrape on, at 0.
fn registered<C>(made: prometheus::Result<C>, name: &str, alone: bool, touch: impl FnOnce(&C)) -> C
where
    C: prometheus::core::Collector + Clone + 'static,
{
    let made = made.unwrap_or_else(|error| panic!("the table describes {name} badly: {error}"));
    if alone {
        touch(&made);
    }
    REGISTRY.register(Box::new(made.clone())).unwrap_or_else(|error| panic!("{name} is in the table twice: {error}"));
    made
}

pub(crate) fn render() -> String {
    let mut text = Vec::new();
    TextEncoder::new().encode(&REGISTRY.gather(), &mut text).expect("a vector takes every text");
    String::from_utf8(text).expect("names and labels are texts")
}
