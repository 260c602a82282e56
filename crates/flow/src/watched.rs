//! What those who watch a node are told of runs: counts, and the spans of what has ended. Nothing of it decides anything.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use snaphook_model::connector::METHODS;
use snaphook_model::{Blame, Fault, HttpResponse, Invocation, RunRecord, TenantName, WaitReason};
use snaphook_telemetry::{Attributes, Opened, SpanName, TraceContext, metrics};

use crate::drive::Scope;
use crate::runner::Inner;

/// How old counts of the database may be: they are the same for all who ask, and asking often makes them no better.
const FRESH: Duration = Duration::from_secs(15);
/// So long somebody who scrapes waits for the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the database was asked last. Held while it is.
#[derive(Debug, Default)]
pub(crate) struct Counts(tokio::sync::Mutex<Option<Instant>>);

/// Writes down how many runs there are, unless that is known or somebody is about to find out. What the database does not tell in time stays as it was.
pub(crate) async fn observe(inner: &Inner) {
    inner.parts.sandbox.observe();
    let Ok(mut asked) = inner.counts.0.try_lock() else { return };
    if asked.is_some_and(|asked| asked.elapsed() < FRESH) {
        return;
    }
    let counts = tokio::time::timeout(PATIENCE, inner.parts.store.run_counts(inner.parts.clock.now())).await;
    *asked = Some(Instant::now());
    if let Ok(Ok(counts)) = counts {
        let metrics = metrics();
        metrics.runs_now.set(["queued"], counts.queued);
        metrics.runs_now.set(["waiting"], counts.waiting);
        metrics.runs_now.set(["leased"], counts.leased);
        metrics.runs_due.set([], counts.due);
    }
}

/// A run has ended here.
pub(crate) fn run_ended(tenant: &TenantName, record: &RunRecord) {
    let kind = if record.flow.is_some() { "flow" } else { "call" };
    let blame = record.code.map_or(Blame::Nobody, |code| code.blame());
    metrics().runs.count([kind, record.status.as_str(), blame.as_str()]);
    let ended_at = record.ended_at.unwrap_or(record.started_at);
    let length = Duration::try_from(ended_at.duration_since(record.started_at)).unwrap_or_default();
    metrics().run_duration.took([kind], length);
    if let Some(span) = of_run(record.id, record.trace.as_ref(), record.started_at) {
        span.end_at(ended_at, record.code, |told| {
            told.set("snaphook.tenant", tenant.as_str());
            told.set("snaphook.run", &*record.id.to_string());
            told.set_some("snaphook.flow", record.flow.as_ref().map(|flow| flow.as_str()));
            told.set_some("snaphook.flow_version", record.flow_version.map(u64::from));
            told.set_some("snaphook.call", record.call.as_deref());
            told.set("snaphook.attempt", u64::from(record.attempt));
            told.set("snaphook.status", record.status.as_str());
            told.set("snaphook.fuel", record.usage.fuel);
        });
    }
}

/// The span of a run that began at a time.
pub(crate) fn of_run(run: snaphook_model::RunId, parent: Option<&snaphook_model::TraceParent>, at: Timestamp) -> Option<Opened> {
    Opened::run(run, parent.and_then(TraceContext::of_kept).as_ref(), at)
}

impl Scope<'_> {
    /// A span below that of the run; nothing where none are exported.
    pub(crate) fn span(&self, name: SpanName) -> Option<Opened> {
        let run = self.trace.as_ref()?;
        Opened::below(Some(run), name, self.inner.parts.clock.now())
    }

    fn tell(&self, told: &mut Attributes) {
        told.set("snaphook.tenant", self.tenant.name.as_str());
        told.set("snaphook.run", &*self.start.id().to_string());
        told.set_some("snaphook.step", self.step);
    }

    /// An invocation has ended.
    pub(crate) fn invoked(&self, span: Option<Opened>, invocation: &Invocation, attempt: u32) {
        let Some(span) = span else { return };
        span.end(invocation.fault.as_ref().map(|fault| fault.code), |told| {
            self.tell(told);
            told.set("snaphook.hook", invocation.hook.as_str());
            told.set("snaphook.script", invocation.script.as_str());
            told.set("snaphook.version", u64::from(invocation.version));
            told.set("snaphook.attempt", u64::from(attempt));
            told.set_some("snaphook.decision", invocation.decision.as_ref().map(|decision| decision.kind.as_str()));
            told.set("snaphook.fuel", invocation.usage.fuel);
            told.set("snaphook.memory_bytes", invocation.usage.memory_bytes);
        });
    }

    /// A request of a step has been answered, or not.
    pub(crate) fn requested(&self, span: Option<Opened>, method: &str, answer: Result<&HttpResponse, &Fault>, attempt: u32) {
        let Some(span) = span else { return };
        span.end(answer.err().map(|fault| fault.code), |told| {
            self.tell(told);
            told.set("snaphook.attempt", u64::from(attempt));
            exchanged(told, method, answer.ok());
        });
    }

    /// A wait that began at a time is over.
    pub(crate) fn waited(&self, reason: WaitReason, since: Timestamp, until: Timestamp) {
        let Some(span) = self.trace.as_ref().and_then(|run| Opened::below(Some(run), SpanName::Wait, since)) else { return };
        span.end_at(until, None, |told| {
            self.tell(told);
            told.set("snaphook.reason", reason.as_str());
        });
    }
}

/// Tells of a request and its answer.
pub(crate) fn exchanged(told: &mut Attributes, method: &str, answer: Option<&HttpResponse>) {
    told.set("http.request.method", if METHODS.contains(&method) { method } else { "other" });
    told.set_some("http.response.status_code", answer.map(|response| u64::from(response.status)));
}
