//! Replays: the recorded invocations of a run once more, calling nobody.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use snaphook_flow::{Made, Replayed};
use snaphook_model::{DecisionRecord, Fault, Hook, HookInput, Name, RunId};

use crate::answer::{self, Answer};
use crate::extract::{At, Invoke, Raw, from_json, shaped};
use crate::problem::{Problem, ProblemDetails};
use crate::routes::test_runs::given::{self, Given};
use crate::routes::test_runs::shown::{self, Shown, ShownRequest};
use crate::routes::test_runs::written::Written;
use crate::shared::Shared;

/// What an invocation made is shown up to this size; a person reads no more, and what differs is still said to differ.
const MAX_SHOWN_BYTES: usize = 1 << 20;

/// All that is shown of a run together. A recording that is shown hook by hook grows far beyond itself.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// What to replay with; an empty body is as good as `{}`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRun {
    /// Versions to take in place of those that ran, by the script's name.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, u32>)]
    scripts: BTreeMap<Name, u32>,
}

/// Every recorded invocation, then and now.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ReplayAnswer {
    /// Whether all of them did the same.
    same: bool,
    /// In the order in which they ran.
    invocations: Vec<ReplayedInvocation>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ReplayedInvocation {
    /// The step's name; `connector/endpoint` in a direct call, `trigger` of a trigger's script.
    step: String,
    #[schema(value_type = String)]
    hook: Hook,
    /// Within the step, from 1.
    attempt: u32,
    #[schema(value_type = String)]
    script: Name,
    version_before: u32,
    version_after: u32,
    /// The same decision to the last byte, the same values written, the same requests made; with the same version and build, the same fuel.
    same: bool,
    /// What it was given, both times: the body of a test run that repeats it, but for the hook. Absent where it is too large to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Given>)]
    given: Option<Box<RawValue>>,
    #[schema(value_type = ReplaySide)]
    before: Box<RawValue>,
    #[schema(value_type = ReplaySide)]
    after: Box<RawValue>,
    fuel_before: u64,
    fuel_after: u64,
    /// What is to be known about the comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A decision with what it made, as test runs show it, or a fault.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ReplaySide {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    decision: Option<DecisionRecord>,
    #[serde(flatten)]
    shown: Shown,
    #[serde(flatten)]
    written: Written,
    /// Requests of the script's own, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requests: Vec<ShownRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    fault: Option<Fault>,
    /// What was made is too large to be shown; it was compared all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_bytes: Option<usize>,
}

/// Run a run's recorded invocations again
///
/// Each gets its recorded input, against the version that ran or the one given in its place. Nobody is called and nothing is written; a script's
/// own requests get the recorded answers.
#[utoipa::path(post, path = "/v1/runs/{run}/replay", tag = "runs", security(("token" = ["invoke"])), params(("run" = String, Path)),
    request_body = ReplayRun,
    responses((status = 200, body = ReplayAnswer), (status = 400, body = ProblemDetails<'static>), (status = 404, body = ProblemDetails<'static>),
        (status = 409, description = "the run has not ended or was not recorded", body = ProblemDetails<'static>),
        (status = 422, description = "a version lacks a hook", body = ProblemDetails<'static>)))]
pub(crate) async fn replay(State(core): State<Shared>, Invoke(tenant): Invoke, At(id): At<String>, Raw(body): Raw) -> Answer {
    let run: RunId = id.parse().map_err(|_| Problem::not_found(format!("run `{id}`")))?;
    let asked: ReplayRun = if body.bytes.is_empty() { ReplayRun::default() } else { shaped(from_json(&body.bytes)?)? };
    let mut room = MAX_ANSWER_BYTES;
    let mut invocations = Vec::new();
    let mut each = |replayed: Replayed| invocations.push(invocation(replayed, &mut room));
    let same = Box::pin(core.runner.replay(&tenant, run, &asked.scripts, core.run_deadline(), &mut each)).await?;
    let invocations = invocations.into_iter().collect::<Result<_, _>>()?;
    answer::ok(&ReplayAnswer { same, invocations })
}

fn invocation(replayed: Replayed, room: &mut usize) -> Result<ReplayedInvocation, Problem> {
    let Replayed { step, hook, attempt, script, version_before, version_after, same, note, .. } = replayed;
    let Replayed { input, context, variables, before, after, fuel_before, fuel_after, .. } = replayed;
    // A script's earlier results may be megabytes, the same for each of a thousand invocations.
    let given = match given::least_bytes(&input, &context, &variables) > MAX_SHOWN_BYTES.min(*room) {
        true => None,
        false => shown_if_small(&given::given(input.clone(), &context, &variables), room)?,
    };
    let before = side(before, input.clone(), room)?;
    let after = side(after, input, room)?;
    Ok(ReplayedInvocation {
        step,
        hook,
        attempt,
        script,
        version_before,
        version_after,
        same,
        given,
        before,
        after,
        fuel_before,
        fuel_after,
        note,
    })
}

/// What fits into the answer, as JSON text.
fn shown_if_small(given: &Given, room: &mut usize) -> Result<Option<Box<RawValue>>, Problem> {
    let text = to_raw_value(given).map_err(unwritable)?;
    let bytes = text.get().len();
    if bytes > MAX_SHOWN_BYTES.min(*room) {
        return Ok(None);
    }
    *room -= bytes;
    Ok(Some(text))
}

fn unwritable(error: serde_json::Error) -> Problem {
    Problem::internal(format!("a replay does not serialise: {error}"))
}

/// One side as JSON text, without what it made where that is too large.
fn side(made: Made, input: HookInput, room: &mut usize) -> Result<Box<RawValue>, Problem> {
    let Made { result, writes, requests } = made;
    let whole = match result {
        Ok(decision) => ReplaySide {
            decision: Some(DecisionRecord::from(&decision)),
            shown: shown::shown(decision, input),
            written: Written::new(writes),
            ..ReplaySide::empty()
        },
        Err(fault) => ReplaySide { fault: Some(fault), ..ReplaySide::empty() },
    };
    let whole = ReplaySide { requests: requests.into_iter().map(shown::request).collect(), ..whole };
    let mut text = to_raw_value(&whole).map_err(unwritable)?;
    let bytes = text.get().len();
    if bytes > MAX_SHOWN_BYTES.min(*room) {
        let short = ReplaySide { decision: whole.decision, fault: whole.fault, omitted_bytes: Some(bytes), ..ReplaySide::empty() };
        text = to_raw_value(&short).map_err(unwritable)?;
    }
    *room = room.saturating_sub(text.get().len());
    Ok(text)
}

impl ReplaySide {
    fn empty() -> Self {
        Self {
            decision: None,
            shown: Shown::default(),
            written: Written::default(),
            requests: Vec::new(),
            fault: None,
            omitted_bytes: None,
        }
    }
}
