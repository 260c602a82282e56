//! Repeats runs that wait for a callback in the data directory of a node that does not run, so that `cargo xtask bench` has a million of them in
//! minutes.
//!
//! usage: park DATA-DIR COUNT RUN=CORRELATION …

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use snaphook_model::{CorrelationId, RunEvent, RunId, RunStatus};
use snaphook_store::{
    ClaimedRun, Lease, QueuedRun, Recording, RunStore as _, SavedRun, SqliteStore, Store as _, StoreError, WaitStore as _, Wake,
};
use uuid::Uuid;

/// Saves on their way at the same time: one flush of the disk serves all of them.
const AT_ONCE: usize = 256;

/// Events of one run, at most: it has asked once and waits.
const EVENTS: u32 = 100;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A run that waits, and what is told of it.
struct Pattern {
    run: ClaimedRun,
    correlation: String,
    events: Vec<RunEvent>,
    recording: Option<Recording>,
    due: Timestamp,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [data_dir, count, patterns @ ..] if !patterns.is_empty() => match (count.parse(), tokio::runtime::Runtime::new()) {
            (Ok(count), Ok(runtime)) => runtime.block_on(park(Path::new(data_dir), count, patterns)),
            _ => Err("COUNT is no number".into()),
        },
        _ => Err("usage: park DATA-DIR COUNT RUN=CORRELATION …".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("park: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn park(data_dir: &Path, count: usize, patterns: &[String]) -> Result<(), Failure> {
    let store = SqliteStore::open(data_dir).await?;
    let due = store.next_due().await?.ok_or("no run waits")?;
    let mut found = Vec::new();
    for claim in store.claim_due_runs(Timestamp::MAX, u32::try_from(patterns.len())?).await? {
        let run = store.claimed_run(claim).await?;
        let id = run.run.record.id;
        let named = patterns.iter().find_map(|pattern| pattern.strip_prefix(&format!("{id}=")));
        let correlation = named.ok_or_else(|| format!("run {id} waits as well"))?.to_owned();
        let events = store.run_events(&run.tenant, id, 0, EVENTS).await?;
        let recording = store.recording(&run.tenant, id).await?;
        found.push(Pattern { run, correlation, events, recording, due });
    }
    if found.is_empty() {
        return Err("none of the runs waits".into());
    }
    let repeats = (0..count).map(|number| repeat(&store, &found[number % found.len()]));
    let mut saving = stream::iter(repeats).buffer_unordered(AT_ONCE);
    while let Some(saved) = saving.next().await {
        saved?;
    }
    for pattern in &found {
        let (run, checkpoint) = (&pattern.run.run, pattern.run.checkpoint.clone().unwrap_or_default());
        save(&store, pattern, run, &checkpoint, (Some(&pattern.run.lease), &pattern.correlation)).await?;
    }
    store.close().await?;
    Ok(())
}

/// The same again under another name.
async fn repeat(store: &SqliteStore, pattern: &Pattern) -> Result<(), StoreError> {
    let correlation = Uuid::now_v7().to_string();
    let mut run = pattern.run.run.clone();
    run.record.id = RunId(Uuid::now_v7());
    let checkpoint = renamed(pattern.run.checkpoint.as_deref().unwrap_or_default(), &pattern.correlation, &correlation);
    save(store, pattern, &run, &checkpoint, (None, &correlation)).await
}

async fn save(
    store: &SqliteStore,
    pattern: &Pattern,
    run: &QueuedRun,
    checkpoint: &Bytes,
    (lease, correlation): (Option<&Lease>, &str),
) -> Result<(), StoreError> {
    let mut run = run.clone();
    run.record.status = RunStatus::Waiting;
    let correlation = CorrelationId(correlation.to_owned());
    let saved = SavedRun {
        run: &run,
        checkpoint,
        recording: pattern.recording.as_ref(),
        events: &pattern.events,
        wake: Wake::Callback(&correlation, pattern.due),
        expects: Some(&correlation),
        heard: None,
        token: Uuid::now_v7(),
    };
    store.save_run(&pattern.run.tenant, lease, saved).await.map(drop)
}

/// A checkpoint with another correlation id, which is as long.
fn renamed(checkpoint: &[u8], from: &str, to: &str) -> Bytes {
    let mut bytes = checkpoint.to_vec();
    let places: Vec<_> = (0..=bytes.len().saturating_sub(from.len())).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    if from.len() == to.len() {
        places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    }
    bytes.into()
}
