//! Where something hangs in a trace: W3C Trace Context, and the spans that are open.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use snaphook_model::{Code, RunId, TraceParent};

use crate::span::{self, Attributes, Span};
use crate::spans::SpanName;

/// Names a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// Names a span within its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// A span of ours or of a caller's, as others are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span, under which others hang theirs.
    pub span: SpanId,
    /// Whether the trace is recorded.
    pub sampled: bool,
    /// What the systems of others on the way have noted for themselves.
    pub state: Option<Arc<str>>,
}

/// Longest `tracestate` that is taken over. The specification asks for 512 characters at least.
const MAX_STATE: usize = 1024;

impl TraceContext {
    /// Reads what a caller sends as `traceparent` and `tracestate`. What is not as the specification has it counts as absent: a trace is no reason to
    /// refuse a request.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let hex = |text: &str, length: usize| {
            let good = text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            good.then(|| u128::from_str_radix(text, 16).ok()).flatten()
        };
        let mut parts = traceparent.trim().split('-');
        let version = hex(parts.next()?, 2)?;
        let (trace, span, flags) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
        // Later versions may have more behind it; this one has not.
        if version == 0xff || trace == 0 || span == 0 || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let state = tracestate.map(str::trim).filter(|state| !state.is_empty() && state.len() <= MAX_STATE);
        let state = state.filter(|state| state.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        let span = SpanId(u64::try_from(span).ok()?.to_be_bytes());
        Some(Self { trace: TraceId(trace.to_be_bytes()), span, sampled: flags & 1 == 1, state: state.map(Arc::from) })
    }

    /// The header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }

    /// As it is kept with a run.
    #[must_use]
    pub fn kept(&self) -> TraceParent {
        TraceParent { traceparent: self.traceparent(), tracestate: self.state.as_deref().map(str::to_owned) }
    }

    /// As it was kept with a run.
    #[must_use]
    pub fn of_kept(kept: &TraceParent) -> Option<Self> {
        Self::parse(&kept.traceparent, kept.tracestate.as_deref())
    }

    fn below(&self, span: SpanId) -> Self {
        Self { span, ..self.clone() }
    }
}

/// A span that has begun. Nothing is told of one that is dropped.
#[derive(Debug)]
pub struct Opened {
    context: TraceContext,
    parent: Option<TraceContext>,
    name: SpanName,
    at: Timestamp,
    begun: Instant,
}

impl Opened {
    /// A span below another; the first one of a new trace where there is none. Nothing while no spans are exported.
    #[must_use]
    pub fn below(parent: Option<&TraceContext>, name: SpanName, at: Timestamp) -> Option<Self> {
        let ratio = span::ratio()?;
        let context = match parent {
            Some(parent) => parent.below(SpanId(chance()?)),
            None => {
                let trace = TraceId(chance()?);
                TraceContext { trace, span: SpanId(chance()?), sampled: is_chosen(trace, ratio), state: None }
            }
        };
        Some(Self { context, parent: parent.cloned(), name, at, begun: Instant::now() })
    }

    /// The span of a run. Its name and, where nobody began one before, its trace follow from the run's id: whichever node goes on with the run hangs
    /// what it does below the same span.
    #[must_use]
    pub fn run(run: RunId, parent: Option<&TraceContext>, at: Timestamp) -> Option<Self> {
        let ratio = span::ratio()?;
        let id = *run.0.as_bytes();
        let [.., a, b, c, d, e, f, g, h] = id;
        let span = SpanId([a, b, c, d, e, f, g, h]);
        let root = || TraceContext { trace: TraceId(id), span, sampled: is_chosen(TraceId(id), ratio), state: None };
        let context = parent.map_or_else(root, |parent| parent.below(span));
        Some(Self { context, parent: parent.cloned(), name: SpanName::Run, at, begun: Instant::now() })
    }

    /// What is told to those who hang theirs below it.
    #[must_use]
    pub const fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Ends it now. What it is told with is asked for only where the trace is recorded.
    pub fn end(self, failed: Option<Code>, attributes: impl FnOnce(&mut Attributes)) {
        let length = self.begun.elapsed();
        let end = self.at.checked_add(length).unwrap_or(self.at);
        self.end_at(end, failed, attributes);
    }

    /// Ends it at a time.
    pub fn end_at(self, end: Timestamp, failed: Option<Code>, attributes: impl FnOnce(&mut Attributes)) {
        if !self.context.sampled {
            return;
        }
        let mut told = Attributes::of(self.name);
        attributes(&mut told);
        if let Some(code) = failed {
            told.set("snaphook.code", code.as_str());
            told.set("snaphook.blame", code.blame().as_str());
        }
        let Self { context, parent, name, at, .. } = self;
        span::export(Span {
            context,
            parent: parent.map(|parent| parent.span),
            name,
            start: at,
            end: end.max(at),
            failed,
            attributes: told,
        });
    }
}

/// Whether spans are exported.
#[must_use]
pub fn is_on() -> bool {
    span::ratio().is_some()
}

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Does something below a span: what begins in it finds it as [`current`].
pub async fn within<T>(context: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    match context {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

/// The span below which this task works.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Whether a trace is among those that are recorded. The same for all who see the same trace.
fn is_chosen(trace: TraceId, ratio: f64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = trace.0;
    let place = (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11) as f64 / (1_u64 << 53) as f64;
    place < ratio
}

/// Bytes that nobody has had; nothing where the kernel gives none, or nothing but zeros, which name nothing.
fn chance<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    bytes.iter().any(|byte| *byte != 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_as_the_specification_has_it() {
        let context = TraceContext::parse(GOOD, Some("a=1,b=2")).unwrap();
        assert_eq!((context.traceparent().as_str(), context.state.as_deref(), context.sampled), (GOOD, Some("a=1,b=2"), true));
        assert_eq!(TraceContext::of_kept(&context.kept()), Some(context));
        assert!(!TraceContext::parse(&GOOD.replace("-01", "-00"), None).unwrap().sampled);
        // A later version, with more behind it.
        assert_eq!(TraceContext::parse(&format!("cc{}-what", &GOOD[2..]), None).unwrap().traceparent(), GOOD);
    }

    #[test]
    fn what_is_none_counts_as_absent() {
        let zero_trace = GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        let (upper, more, later) = (GOOD.to_uppercase(), format!("{GOOD}-x"), format!("ff{}", &GOOD[2..]));
        for bad in ["", "x", "00", &GOOD[..54], "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-ä-ü-01"] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
        for bad in [zero_trace, zero_span, upper, more, later] {
            assert_eq!(TraceContext::parse(&bad, None), None, "{bad}");
        }
        let long = "a".repeat(MAX_STATE + 1);
        for state in ["", "  ", "a=\nb", "ä", &long] {
            assert_eq!(TraceContext::parse(GOOD, Some(state)).unwrap().state, None);
        }
    }

    #[test]
    fn a_share_of_the_traces_is_chosen() {
        let of = |last: u64| TraceId((u128::from(last)).to_be_bytes());
        assert!(is_chosen(of(u64::MAX), 1.0) && is_chosen(of(0), 0.001) && !is_chosen(of(0), 0.0));
        assert!(is_chosen(of(u64::MAX / 4), 0.5) && !is_chosen(of(u64::MAX / 4 * 3), 0.5));
    }

    #[test]
    fn no_span_is_made_while_nobody_takes_any() {
        let run = RunId("0198c5f2-0000-7000-8000-000000000001".parse().unwrap());
        assert!(!is_on() && Opened::run(run, None, Timestamp::UNIX_EPOCH).is_none());
        assert!(Opened::below(None, SpanName::Hook, Timestamp::UNIX_EPOCH).is_none());
    }

    #[tokio::test]
    async fn what_is_done_below_a_span_finds_it() {
        let context = TraceContext::parse(GOOD, None);
        assert_eq!(within(context.clone(), async { current() }).await, context);
        assert_eq!(within(None, async { current() }).await, None);
        assert_eq!(current(), None);
    }
}
