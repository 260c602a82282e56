//! A quiet tenant's calls, alone and beside a neighbour who takes all that a node gives to one tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Client, NodeProcess, Tenant};

/// What the neighbour does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// Scripts that never end by themselves.
    Loops,
    /// Scripts that take memory until they are stopped.
    MemoryBombs,
    /// Scripts that log without end.
    LogFloods,
    /// Uploads that take as long to compile as they may.
    Uploads,
    /// Far more accepted runs than are run at once, queued before the quiet tenant is looked at.
    QueuedRuns,
}

impl Neighbour {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Loops, Self::MemoryBombs, Self::LogFloods, Self::Uploads, Self::QueuedRuns];

    /// A few words for a table.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Loops => "endless loops",
            Self::MemoryBombs => "memory bombs",
            Self::LogFloods => "log floods",
            Self::Uploads => "uploads that make the compiler suffer",
            Self::QueuedRuns => "a queue of runs",
        }
    }

    const fn script(self) -> &'static str {
        match self {
            Self::Loops | Self::Uploads => "export default () => { for (;;) {} };",
            Self::MemoryBombs => "export default () => { const all = []; for (;;) all.push(new Array(1000).fill(all.length)); };",
            Self::LogFloods => "export default () => { const line = 'x'.repeat(1000); for (;;) console.log(line); };",
            Self::QueuedRuns => "export default (payload) => { let n = 0; for (let i = 0; i < 300_000; i++) n += i; return { n }; };",
        }
    }
}

/// Requests of the neighbour at once: more than a node has places for one tenant.
const AT_ONCE: usize = 128;
/// Runs of the neighbour that are queued: each takes some milliseconds, so all of them more than the quiet tenant is looked at for.
const QUEUED: usize = 50 * AT_ONCE;

const PRE_HOOK: &str = "export function preHook(call) { call.arguments.stamp = true; }";
const POST_REQUEST: &str =
    "export function postRequest(response) { const body = response.json(); body.seen = Object.keys(body).length; return body; }";

/// The quiet tenant's latencies in ascending order, and how many of its calls were not answered well.
#[derive(Debug, Default)]
pub struct Quiet {
    /// From the request's first byte to the answer's last.
    pub latencies: Vec<Duration>,
    /// What those were told that failed.
    pub failed: Vec<String>,
}

impl Quiet {
    /// The latency that so many of a hundred stay below.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// A quiet tenant with an endpoint of two hooks at an upstream that answers whatever it is sent.
pub async fn quiet(node: &NodeProcess, upstream: &str) -> Tenant {
    let tenant = node.tenant().await;
    tenant.js("pre", PRE_HOOK).await;
    tenant.js("post", POST_REQUEST).await;
    let hooks = json!({"pre-hook": [{"script": "pre"}], "post-request": [{"script": "post"}]});
    let endpoints = json!({"x": {"method": "POST", "path": "/x", "hooks": hooks}});
    tenant.connector("api", json!({"base_url": upstream, "endpoints": endpoints})).await;
    tenant
}

/// Calls one after another for a while.
pub async fn calls(tenant: &Tenant, duration: Duration) -> Quiet {
    let items: Vec<Value> = (0..20).map(|id| json!({"id": id, "name": format!("item number {id}"), "price": 1.5})).collect();
    let arguments = json!({"items": items});
    let mut quiet = Quiet::default();
    let begun = Instant::now();
    while begun.elapsed() < duration {
        let called = Instant::now();
        let answer = tenant.call("api/x", arguments.clone()).await;
        quiet.latencies.push(called.elapsed());
        if answer.status != 200 {
            quiet.failed.push(answer.text());
        }
    }
    quiet.latencies.sort_unstable();
    quiet
}

/// The quiet tenant alone and then beside a neighbour, each for so long.
pub async fn beside(node: &NodeProcess, upstream: &str, neighbour: Neighbour, duration: Duration) -> [Quiet; 2] {
    let tenant = quiet(node, upstream).await;
    // What is compiled and pooled at the first calls is none of the neighbour's.
    let _ = calls(&tenant, duration / 4).await;
    let alone = calls(&tenant, duration).await;
    let load = Load::start(node, neighbour).await;
    let beside = calls(&tenant, duration).await;
    // On a busy machine a compile child may take longer than the quiet tenant was looked at.
    let patience = Instant::now() + Duration::from_secs(60);
    while load.as_expected() == 0 {
        assert!(Instant::now() < patience, "{}: the neighbour was idle", neighbour.words());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    load.stop().await;
    [alone, beside]
}

/// A neighbour at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<tokio::task::JoinHandle<()>>,
    as_expected: Arc<AtomicU64>,
}

impl Load {
    /// Begins, and returns when everything that can be in flight is.
    pub async fn start(node: &NodeProcess, neighbour: Neighbour) -> Self {
        // Its own quota does not stand in its way: what is shown is what a node does without.
        let document = json!({"limits": {"fuel": 1_000_000_000_000_u64, "wall_ms": 1_000}, "quota": {"concurrency": 1_000_000, "rate_per_s": 1_000_000}});
        let tenant = node.tenant_with(document).await;
        tenant.js("greedy", neighbour.script()).await;
        tenant.flow("f", json!({"steps": [{"script": "greedy"}]})).await;
        let stop = Arc::<AtomicBool>::default();
        let as_expected = Arc::<AtomicU64>::default();
        let begun = Arc::new(tokio::sync::Semaphore::new(0));
        let sender = |number: usize| {
            let (stop, begun, tenant, as_expected) = (Arc::clone(&stop), Arc::clone(&begun), tenant.clone(), Arc::clone(&as_expected));
            tokio::spawn(async move {
                if neighbour == Neighbour::QueuedRuns {
                    for _ in 0..QUEUED / AT_ONCE {
                        let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
                        let _ = tenant.client.try_send("POST", "/v1/flows/f/runs", &headers, "{}".into()).await;
                    }
                    return begun.add_permits(1);
                }
                begun.add_permits(1);
                send(&tenant.client, neighbour, (number, &stop), &as_expected).await;
            })
        };
        let senders: Vec<_> = (0..AT_ONCE).map(sender).collect();
        let _ = begun.acquire_many(u32::try_from(AT_ONCE).unwrap_or(1)).await;
        if neighbour == Neighbour::QueuedRuns {
            // Of those that wait there are still some.
            let waiting = tenant.client.get("/v1/runs?status=queued&limit=1").await.expect(200).json();
            as_expected.store(waiting["items"].as_array().map_or(0, |items| items.len() as u64), Ordering::Relaxed);
        }
        Self { stop, senders, as_expected }
    }

    /// Requests of the neighbour that ended in the way that its scripts are made for; of queued runs, whether some were waiting at the beginning.
    #[must_use]
    pub fn as_expected(&self) -> u64 {
        self.as_expected.load(Ordering::Relaxed)
    }

    /// Ends; what is in flight is given up.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.abort();
            let _ = sender.await;
        }
    }
}

/// One connection's requests, one after another.
async fn send(client: &Client, neighbour: Neighbour, (number, stop): (usize, &AtomicBool), as_expected: &AtomicU64) {
    let json = ("content-type", "application/json");
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let answer = match neighbour {
            Neighbour::Uploads => {
                // Another text each time; it works at top level for as long as it may.
                let source = format!("const n = {count}; for (let i = 0; i < 1e12; i++) globalThis.x = i + n; export default () => n;");
                let path = format!("/v1/scripts/heavy-{number}");
                client.try_send("PUT", &path, &[("content-type", "application/javascript")], source.into()).await
            }
            Neighbour::Loops | Neighbour::MemoryBombs | Neighbour::LogFloods | Neighbour::QueuedRuns => {
                client.try_send("POST", "/v1/flows/f/runs", &[json], "{\"payload\":{}}".into()).await
            }
        };
        // Over the budgets of an invocation or of a child, or for want of a place or memory, of which a tenant has half.
        let code = answer.map(|answer| answer.json()["code"].as_str().map(str::to_owned));
        if let Ok(Some(code)) = code
            && ["fuel", "deadline", "memory", "compile", "overloaded"].contains(&code.as_str())
        {
            as_expected.fetch_add(1, Ordering::Relaxed);
        }
    }
}
