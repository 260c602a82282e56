//! Runs the recorded invocations of a run again, calling nobody.
//!
//! Each is given its recorded input, whatever those before it do now: what differs is then the script's own doing.
//!
//! The clock: a replay has no wall time to keep but its own deadline, so a slow machine changes nothing. An invocation that was ended because
//! its time was over is, with the same version, run with the fuel it had spent by then and no more: if it ends there again, it did the same.
//! With another version fuel says nothing about time, and it is run with the whole limit.

mod compare;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use snaphook_model::{
    Blame, Code, Context, Decision, Fault, Hook, HookInput, HttpRequest, Limits, Name, RunId, RunRecord, Tenant, VariableWrite, Variables,
    Weight,
};
use snaphook_sandbox::{Invocation, Program, Recorded as Told};
use snaphook_store::Recording;

use crate::record;
use crate::recording::{self, Entry, Header, Recorded};
use crate::runner::Inner;

/// One invocation, as it was and as it is now.
#[derive(Debug)]
pub struct Replayed {
    /// The step's name; `connector/endpoint` in a direct call, `trigger` of a trigger's script.
    pub step: String,
    /// Which hook.
    pub hook: Hook,
    /// The attempt within the step, from 1.
    pub attempt: u32,
    /// Whose code.
    pub script: Name,
    /// The version that ran then.
    pub version_before: u32,
    /// The version that ran now.
    pub version_after: u32,
    /// What the hook acted on, both times.
    pub input: HookInput,
    /// Its circumstances, both times.
    pub context: Context,
    /// Everything that it could read by key, both times.
    pub variables: Arc<Variables>,
    /// Then.
    pub before: Made,
    /// Now.
    pub after: Made,
    /// Spent then.
    pub fuel_before: u64,
    /// Spent now.
    pub fuel_after: u64,
    /// Whether it decided and did the same; with the same version and build, at the same price.
    pub same: bool,
    /// What is to be known about the comparison.
    pub note: Option<String>,
}

/// What an invocation made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Its decision, or why there is none.
    pub result: Result<Decision, Fault>,
    /// Values that it wrote, which count when there is a decision.
    pub writes: Vec<VariableWrite>,
    /// Requests of its own, in order.
    pub requests: Vec<HttpRequest>,
}

/// Replays a run and shows each invocation as it is done. True when all did the same.
pub(crate) async fn replay(
    inner: &Inner,
    tenant: &Tenant,
    run: RunId,
    scripts: &BTreeMap<Name, u32>,
    deadline: Instant,
    each: &mut (dyn FnMut(Replayed) + Send),
) -> Result<bool, Fault> {
    let (record, Recorded { entries, too_large, .. }) = recorded(inner, tenant, run).await?;
    if too_large {
        return Err(was_too_large(run));
    }
    no_such_script(scripts, &entries)?;
    let programs = programs(inner, tenant, scripts, &entries).await?;
    let mut variables = Arc::<Variables>::default();
    let mut header = Header { build: String::new(), limits: tenant.limits };
    let mut all_same = true;
    for mut entry in entries {
        if let Some(begins) = entry.begins.take() {
            (header, variables) = (begins, Arc::default());
        }
        Arc::make_mut(&mut variables).apply(std::mem::take(&mut entry.changed));
        let Some((version, program)) = programs.get(&(entry.script.clone(), entry.version)) else {
            return Err(Fault::new(Code::Internal, "a program of the replay was not loaded"));
        };
        let same_build = header.build == inner.parts.sandbox.build();
        let place = Place { record: &record, version: *version, same_build, limits: header.limits };
        let replayed = Box::pin(again(inner, program, place, entry, variables.clone(), deadline)).await?;
        all_same &= replayed.same;
        each(replayed);
    }
    Ok(all_same)
}

/// The run's record and what was recorded of its invocations.
pub(crate) async fn recorded(inner: &Inner, tenant: &Tenant, run: RunId) -> Result<(RunRecord, Recorded), Fault> {
    let store = &inner.parts.store;
    let record = store.run(&tenant.name, run).await.map_err(record::store_fault)?;
    let record = record.ok_or_else(|| Fault::new(Code::NotFound, format!("there is no run `{run}`")))?;
    if record.ended_at.is_none() {
        return Err(Fault::new(Code::Conflict, format!("run `{run}` has not ended; only what has ended can be done again")));
    }
    if record.payloads_removed {
        let detail = format!("what run `{run}` was given is not kept any more: its payloads have had their time");
        return Err(Fault::new(Code::Conflict, detail));
    }
    match store.recording(&tenant.name, run).await.map_err(record::store_fault)? {
        Some(Recording::Whole { head, bodies }) => match recording::read(&head, &bodies) {
            Ok(recorded) => Ok((record, recorded)),
            Err(error) => {
                tracing::warn!(%run, error = &error as &dyn std::error::Error, "a recording cannot be read");
                Err(Fault::new(Code::Conflict, format!("run `{run}` was recorded by another release and cannot be replayed by this one")))
            }
        },
        Some(Recording::TooLarge) => Err(was_too_large(run)),
        None if has_invocations(&record) => {
            Err(Fault::new(Code::Conflict, format!("run `{run}` was not recorded: a release before this one made it")))
        }
        None => Ok((record, Recorded::default())),
    }
}

fn was_too_large(run: RunId) -> Fault {
    let detail = format!("run `{run}` was too large to be recorded: a run's invocations are kept up to {} bytes", recording::MAX_BYTES);
    Fault::new(Code::Conflict, detail)
}

fn has_invocations(record: &RunRecord) -> bool {
    // What failed on our side is not recorded.
    let told = |hooks: &[snaphook_model::Invocation]| {
        hooks.iter().any(|hook| hook.fault.as_ref().is_none_or(|fault| fault.blame() != Blame::Platform))
    };
    record.trigger.as_ref().is_some_and(|trigger| told(std::slice::from_ref(trigger)))
        || record.steps.iter().any(|step| told(&step.hooks) || step.attempts.iter().any(|attempt| told(&attempt.hooks)))
}

/// A name that nothing ran under is a slip, and silence about it would read as "all the same".
fn no_such_script(scripts: &BTreeMap<Name, u32>, entries: &[Entry]) -> Result<(), Fault> {
    let Some(unused) = scripts.keys().find(|name| entries.iter().all(|entry| entry.script != **name)) else { return Ok(()) };
    let mut used: Vec<_> = entries.iter().map(|entry| format!("`{}`", entry.script)).collect();
    used.sort_unstable();
    used.dedup();
    let those = if used.is_empty() { "it invoked no script at all".to_owned() } else { format!("it invoked {}", used.join(", ")) };
    Err(Fault::new(Code::Invalid, format!("no invocation of the run used script `{unused}`; {those}"))
        .in_field(format!("scripts.{unused}")))
}

type Key = (Name, u32);

/// The program for each script and version that was recorded: that one, or the one asked for in its place.
async fn programs(
    inner: &Inner,
    tenant: &Tenant,
    scripts: &BTreeMap<Name, u32>,
    entries: &[Entry],
) -> Result<BTreeMap<Key, (u32, Program)>, Fault> {
    let mut programs: BTreeMap<Key, (u32, Program)> = BTreeMap::new();
    for entry in entries {
        let name = &entry.script;
        let key = (name.clone(), entry.version);
        let asked = scripts.get(name);
        let in_field = |fault: Fault| if asked.is_some() { fault.in_field(format!("scripts.{name}")) } else { fault };
        if !programs.contains_key(&key) {
            let version = asked.copied().unwrap_or(entry.version);
            let program = inner.parts.programs.load(&tenant.name, name, version).await.map_err(in_field)?;
            programs.insert(key.clone(), (version, program));
        }
        let hook = entry.input.hook();
        if let Some((version, program)) = programs.get(&key)
            && !program.hooks().contains(hook)
        {
            return Err(in_field(Fault::new(Code::ScriptNoHook, format!("version {version} of script `{name}` has no `{hook}`"))));
        }
    }
    Ok(programs)
}

/// What an invocation is run again with, and compared by.
struct Place<'a> {
    record: &'a RunRecord,
    version: u32,
    same_build: bool,
    limits: Limits,
}

async fn again(
    inner: &Inner,
    program: &Program,
    place: Place<'_>,
    entry: Entry,
    variables: Arc<Variables>,
    deadline: Instant,
) -> Result<Replayed, Fault> {
    let Entry { script, version, input, context, granted, exchanges, signatures, state, result, writes, fuel, .. } = entry;
    let same_version = place.version == version;
    let out_of_time = same_version && result.as_ref().is_err_and(|fault| fault.code == Code::Deadline);
    let mut limits = place.limits;
    if out_of_time {
        limits.fuel = fuel.max(1);
    }
    let requests = exchanges.iter().map(|exchange| exchange.request.clone()).collect();
    let weight = Weight::default();
    let read = variables.clone();
    let invocation = Invocation { input, context, weight, limits, deadline: None, variables, state: None, http: None, keys: None };
    let outcome = inner.parts.sandbox.replay(program, invocation, Told { granted, exchanges, signatures, state }, deadline).await;
    if Instant::now() >= deadline {
        return Err(Fault::new(Code::Overloaded, "the replay did not end within the time that a request may take"));
    }
    let before = Made { result, writes, requests };
    // What was recorded was kept, and a replay asks for nothing else.
    let requests = outcome.exchanges.into_iter().flatten().map(|exchange| exchange.request).collect();
    let mut after = Made { result: outcome.result, writes: outcome.writes, requests };
    match &after.result {
        // Ours, not the script's: asking again may do better, and a difference it is not.
        Err(fault) if fault.blame() == Blame::Platform => return Err(fault.clone()),
        Err(fault) if out_of_time && matches!(fault.code, Code::Fuel | Code::Deadline) => after.result.clone_from(&before.result),
        _ => {}
    }
    let fuel_after = outcome.usage.fuel;
    let comparable = same_version && place.same_build;
    let same = compare::same(&before, &after, &outcome.input, same_version) && (!comparable || fuel == fuel_after);
    let other_build = same_version && !place.same_build;
    let note = other_build.then(|| "the run used another build of the interpreter or engine; fuel is not compared".to_owned());
    Ok(Replayed {
        step: outcome.context.step.clone().or_else(|| place.record.call.clone()).unwrap_or_else(|| "trigger".to_owned()),
        hook: outcome.input.hook(),
        attempt: outcome.context.attempt,
        script,
        version_before: version,
        version_after: place.version,
        input: outcome.input,
        context: outcome.context,
        variables: read,
        // What is the same is kept once: an answer shows many of them.
        after: if same { before.clone() } else { after },
        before,
        fuel_before: fuel,
        fuel_after,
        same,
        note,
    })
}
