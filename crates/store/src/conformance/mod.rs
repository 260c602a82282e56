//! What every backend must do, as tests that know only the traits. `conformance!` runs them all on stores that a function makes.

pub(crate) mod audit;
pub(crate) mod awaited;
pub(crate) mod connections;
pub(crate) mod documents;
pub(crate) mod history;
pub(crate) mod isolation;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod many_runs;
pub(crate) mod overview;
pub(crate) mod queue;
pub(crate) mod recordings;
pub(crate) mod retention;
pub(crate) mod runs;
pub(crate) mod scripts;
pub(crate) mod secrets;
pub(crate) mod state;
pub(crate) mod subjects;
pub(crate) mod tenants;
pub(crate) mod waiting;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use snaphook_model::{
    Attempt, DecisionRecord, Dialect, Hook, HookSet, Invocation, Language, LogEntry, LogLevel, Name, Payload, RunEvent, RunId, RunRecord,
    RunStatus, RunUsage, ScriptKind, ScriptVersion, StepRecord, StepStatus, SubjectValues, TenantDocument, TenantName, TokenRecord,
    TokenScope, TokenScopes, Usage, VariableScope, VariableWrite,
};
use uuid::Uuid;

use crate::{
    AddedVersion, Claim, ClaimedRun, EndedRun, NewDocument, NewVersion, Page, PageRequest, QueueRoom, QueuedRun, Recording, ScriptPin,
    Store, StoreFuture, StoredComponent,
};

/// Makes a test of each function of the suite. `$open` is an async function that gives an empty store and something to keep until the end.
macro_rules! conformance {
    ($open:path; $($area:ident: $($test:ident),+;)+) => {
        $(mod $area {
            $(#[tokio::test]
            async fn $test() {
                let (store, _keep) = $open().await;
                $crate::conformance::$area::$test(&*store).await;
                store.close().await.unwrap();
            })+
        })+
    };
    ($open:path) => {
        $crate::conformance::conformance! { $open;
            tenants: are_put_and_read, are_listed_in_pages, take_everything_along, have_tokens, note_when_tokens_are_used, refuse_tokens_that_are_taken, need_to_exist,
                meta_values_are_kept;
            scripts: count_their_versions, keep_equal_uploads_once, keep_bytes, number_versions_under_concurrency, have_a_bound_in_bytes, never_reuse_a_number,
                are_listed_in_pages, components_are_replaced, stale_components_are_found, component_hashes_tell_what_is_used,
                imported_versions_stay, need_their_tenant;
            documents: connectors_are_put_and_read, connectors_are_listed_in_pages, flows_keep_their_versions, flows_keep_counting,
                flows_are_listed_in_pages, flows_are_numbered_under_concurrency, bind_versions_that_exist,
                bound_versions_stay, bindings_of_a_script_are_listed, only_the_latest_flow_version_binds, queued_runs_hold_what_their_version_binds, need_their_tenant;
            secrets: are_put_and_read, are_listed_in_pages, belong_to_their_tenant, are_sealed_anew;
            connections: are_put_and_read, one_node_fetches_a_token, authorizations_are_taken_once, belong_to_their_tenant,
                are_sealed_anew, authorizations_are_sealed_anew;
            kept: is_counted, has_a_bound_by_number, has_a_bound_in_bytes, is_bounded_under_concurrency;
            runs: are_read_at_once, are_listed_newest_first, are_filtered, pages_hold_while_runs_arrive, may_be_written_twice,
                without_a_tenant_are_left_out, large_pages_are_cut, refuse_foreign_cursors, of_one_endpoint_are_found,
                of_one_endpoint_are_found_among_many, that_invoked_a_script_are_found, are_looked_at_in_bounds, that_waited_are_found_by_their_start;
            overview: count_runs_by_time_and_outcome, look_at_some_of_many, count_a_burst, read_a_bounded_number_of_bytes, are_not_hidden_by_one_long_record,
                say_the_same_with_and_without_a_summary;
            recordings: are_kept_beside_their_runs, are_those_of_the_last_attempt, go_with_their_runs;
            queue: gives_each_run_once, gives_tenants_their_turns, takes_failed_and_next_together, forgets_ended_runs, gives_a_dead_nodes_runs_again,
                tells_who_holds_a_run_that_it_was_cancelled, lets_only_who_holds_a_run_end_it, refuses_unknown_tenants, has_an_end, has_an_end_in_bytes, goes_with_its_tenant;
            waiting: go_on_when_their_time_has_come, are_known_again_when_they_are_saved_twice, keep_large_inputs_and_checkpoints,
                have_a_history, are_called_back_once, hear_of_a_callback_that_came_before_they_waited, leave_no_callback_that_they_have_heard,
                hear_nothing_after_their_end, callbacks_are_sealed_anew, are_cancelled;
            awaited: ends_are_told, are_forgotten_in_the_end;
            keys: answer_once, are_forgotten, belong_to_their_tenant;
            subjects: are_put_and_read, keep_what_runs_store, keep_nothing_of_a_run_that_is_held_by_another, are_merged_under_concurrency,
                have_a_limit, are_listed_in_pages, need_and_go_with_their_tenant;
            state: outlives_runs_and_is_merged_by_key, has_a_limit_that_runs_share, goes_with_its_flow, goes_with_its_tenant,
                is_written_with_its_run;
            retention: usual_runs_go_in_the_order_of_their_ids, runs_that_say_so_go_at_their_own_time, runs_that_have_not_ended_stay,
                several_sweeps_at_once_do_no_harm, forgets_keys;
            history: is_counted_in_time, payloads_of_the_oldest_go_first, oldest_runs_go_in_the_order_of_their_ids, runs_that_have_not_ended_stay,
                is_relieved_by_several_at_once;
            audit: every_change_leaves_a_record, what_changes_nothing_leaves_none, is_listed_newest_first, goes_when_it_has_had_its_time,
                belongs_to_its_tenant;
            isolation: subjects_of_another_are_invisible, definitions_of_another_are_invisible, writes_of_another_change_nothing,
                runs_of_another_are_invisible;
        }
    };
}
pub(crate) use conformance;

pub(crate) fn tenant(text: &str) -> TenantName {
    TenantName::new(text).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// So many runs, however large.
impl From<u32> for QueueRoom {
    fn from(runs: u32) -> Self {
        Self { runs, bytes: u64::MAX }
    }
}

/// A time, in seconds after an arbitrary moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

pub(crate) async fn with_tenant(store: &dyn Store, text: &str) -> TenantName {
    let tenant = tenant(text);
    store.put_tenant(&tenant, &TenantDocument::default(), at(0)).await.unwrap();
    tenant
}

/// Claims up to so many runs that are due, and reads those that can be read.
pub(crate) async fn claim(store: &dyn Store, now: Timestamp, limit: u32) -> Vec<ClaimedRun> {
    runs_of(store, store.claim_due_runs(now, limit).await.unwrap()).await
}

/// The same of some tenants.
pub(crate) async fn claim_of(store: &dyn Store, shares: &[(&TenantName, u32)], now: Timestamp) -> Vec<ClaimedRun> {
    let shares: Vec<_> = shares.iter().map(|(tenant, share)| ((*tenant).clone(), *share)).collect();
    runs_of(store, store.claim_due_runs_of(&shares, now).await.unwrap()).await
}

async fn runs_of(store: &dyn Store, claims: Vec<Claim>) -> Vec<ClaimedRun> {
    let mut runs = Vec::new();
    for claim in claims {
        let lease = claim.lease().clone();
        if let Ok(run) = store.claimed_run(claim).await {
            assert_eq!((&run.lease, &run.tenant, run.run.record.id), (&lease, &lease.tenant, lease.run));
            runs.push(run);
        }
    }
    runs
}

/// An upload whose hash and bytes come from `text`.
pub(crate) fn upload(script: &str, text: &str) -> NewVersion {
    NewVersion {
        name: name(script),
        hash: blake3::hash(text.as_bytes()).to_string(),
        kind: ScriptKind::Script,
        language: Language::JavaScript,
        dialect: Dialect::Native,
        hooks: [Hook::PreHook].into_iter().collect::<HookSet>(),
        imports: Vec::new(),
        deploy_ms: 12,
        warnings: Vec::new(),
        created_at: at(1),
        source: Bytes::copy_from_slice(text.as_bytes()),
        component: StoredComponent { bytes: Bytes::from(format!("wasm of {text}")), interpreter: Some("interpreter-1".to_owned()) },
        most_bytes: u64::MAX,
    }
}

pub(crate) async fn deploy(store: &dyn Store, tenant: &TenantName, script: &str, text: &str) -> ScriptVersion {
    match store.add_version(tenant, upload(script, text)).await.unwrap() {
        AddedVersion::Created(version) => version,
        AddedVersion::Unchanged(version) => panic!("{version:?} was there already"),
    }
}

pub(crate) fn pin(place: &str, script: &str, version: u32) -> ScriptPin {
    ScriptPin { place: place.to_owned(), script: name(script), version }
}

pub(crate) fn document<'a>(document: &'a Value, pins: &'a [ScriptPin]) -> NewDocument<'a> {
    NewDocument { document, pins, now: at(2) }
}

pub(crate) fn token(id: &str) -> TokenRecord {
    let scopes = TokenScopes(vec![TokenScope::Deploy, TokenScope::Read]);
    TokenRecord {
        id: id.to_owned(),
        name: format!("{id} for tests"),
        scopes,
        created_at: at(0),
        expires_at: Some(at(3600)),
        last_used_at: None,
    }
}

/// The id of the run that was made as the `number`-th.
pub(crate) fn run_id(number: u64) -> RunId {
    RunId(Uuid::from_u128((0x0190_0000_0000_7000_8000_u128 << 48) | (u128::from(number) << 80) | u128::from(number)))
}

pub(crate) fn run(number: u64, flow: Option<&str>, status: RunStatus) -> RunRecord {
    RunRecord {
        id: run_id(number),
        flow: flow.map(name),
        flow_version: flow.map(|_| 1),
        call: flow.is_none().then(|| "crm/send".to_owned()),
        subject: None,
        status,
        code: None,
        message: None,
        retry_of: None,
        retry_run: None,
        attempt: 1,
        started_at: at(i64::try_from(number).unwrap()),
        ended_at: (!matches!(status, RunStatus::Queued | RunStatus::Running)).then(|| at(1000)),
        document: None,
        retention: None,
        payloads_removed: false,
        trace: None,
        usage: RunUsage::default(),
        trigger: None,
        steps: Vec::new(),
    }
}

/// An invocation of a script.
pub(crate) fn invocation(script: &str) -> Invocation {
    let usage = Usage { fuel: 401_223, fuel_limit: 1_000_000_000, memory_bytes: 1_310_720, memory_limit_bytes: 67_108_864, wall_us: 61 };
    let decision = DecisionRecord { kind: "call".to_owned(), message: None, status: None, reason_code: None };
    Invocation {
        hook: Hook::PreHook,
        script: name(script),
        version: 3,
        decision: Some(decision),
        fault: None,
        usage,
        logs: vec![LogEntry { at: at(1), level: LogLevel::Info, message: format!("{script} was here") }],
        started_at: at(1),
        duration_us: 71,
    }
}

/// A step with these hooks of its own, and one request with those.
pub(crate) fn step(hooks: &[Invocation], of_request: &[Invocation]) -> StepRecord {
    let attempt = Attempt { started_at: at(1), duration_ms: 12, hooks: of_request.to_vec(), request: None, response: None, error: None };
    StepRecord {
        name: "crm/send".to_owned(),
        status: StepStatus::Succeeded,
        code: None,
        message: None,
        hooks: hooks.to_vec(),
        attempts: vec![attempt],
        waits: Vec::new(),
    }
}

/// A run that has ended and wrote no state.
pub(crate) const fn ending<'a>(
    record: &'a RunRecord,
    recording: Option<&'a Recording>,
    events: &'a [RunEvent],
    next: Option<&'a QueuedRun>,
) -> EndedRun<'a> {
    EndedRun { record, recording, events, next, state: None, heard: None }
}

/// A run that is due `number` seconds after the beginning of time.
pub(crate) fn queued(number: u64) -> QueuedRun {
    let record = run(number, Some("orders"), RunStatus::Queued);
    // Some have written variables, most have not.
    let write = |key: &str, value| VariableWrite { scope: VariableScope::Meta, key: key.to_owned(), value };
    let writes = if number.is_multiple_of(10) { vec![write("ü", Some("\"a\"".to_owned())), write("gone", None)] } else { Vec::new() };
    let subject_values = SubjectValues([("n".to_owned(), number.to_string())].into());
    QueuedRun { record, input: Payload::json(json!({ "number": number }).to_string()), writes, subject_values }
}

/// A recording with two bodies of its own.
pub(crate) fn recording(text: &str) -> Recording {
    let bodies = vec![Bytes::from(text.repeat(500)), Bytes::from_static(b"\0\xff"), Bytes::new()];
    Recording::Whole { head: Bytes::from(text.to_owned()), bodies }
}

/// Reads a list to its end, `limit` items at a time.
pub(crate) async fn all<T>(limit: u32, mut list: impl AsyncFnMut(&PageRequest) -> Page<T>) -> Vec<T> {
    let (mut request, mut items) = (PageRequest::first(limit), Vec::new());
    loop {
        let page = list(&request).await;
        assert!(page.items.len() <= limit as usize, "a page holds at most what was asked for");
        items.extend(page.items);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return items,
        }
    }
}

/// The text of a failure that must come.
pub(crate) async fn failure<T: std::fmt::Debug>(future: StoreFuture<'_, T>) -> String {
    future.await.unwrap_err().to_string()
}
