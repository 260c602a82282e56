//! A quiet tenant's calls, alone and beside a neighbour who takes all that a node gives to one tenant.

mod load;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{NodeProcess, Tenant};

pub use load::Load;

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
    /// As many accepted runs as one tenant may have, and more of them again and again, whether they are refused or not.
    QueuedRuns,
    /// Scripts that sign with a private key without end.
    Signatures,
    /// Requests whose templates take as long as they may.
    Templates,
    /// Requests with secrets as long as they may be, whose answers do not come.
    Secrets,
    /// Requests beyond its quota, as fast as they are refused.
    Refused,
}

impl Neighbour {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Loops,
        Self::MemoryBombs,
        Self::LogFloods,
        Self::Uploads,
        Self::QueuedRuns,
        Self::Signatures,
        Self::Templates,
        Self::Secrets,
        Self::Refused,
    ];

    /// A few words for a table.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Loops => "endless loops",
            Self::MemoryBombs => "memory bombs",
            Self::LogFloods => "log floods",
            Self::Uploads => "uploads that make the compiler suffer",
            Self::QueuedRuns => "a queue of runs",
            Self::Signatures => "endless signatures",
            Self::Templates => "long templates",
            Self::Secrets => "large secrets on their way to an upstream that does not answer",
            Self::Refused => "requests beyond its quota",
        }
    }

    const fn script(self) -> &'static str {
        match self {
            Self::Loops | Self::Uploads | Self::Templates | Self::Secrets | Self::Refused => "export default () => { for (;;) {} };",
            Self::MemoryBombs => "export default () => { const all = []; for (;;) all.push(new Array(1000).fill(all.length)); };",
            Self::LogFloods => "export default () => { const line = 'x'.repeat(1000); for (;;) console.log(line); };",
            Self::QueuedRuns => "export default (payload) => { let n = 0; for (let i = 0; i < 300_000; i++) n += i; return { n }; };",
            Self::Signatures => {
                "export default async (payload, context) => {
                    const scheme = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
                    const key = await crypto.subtle.importKey('pkcs8', context.connection.private_key, scheme, false, ['sign']);
                    for (;;) await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key, new Uint8Array(1000));
                };"
            }
        }
    }
}

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

/// The percentile of the round in the middle: one noisy second spoils no more than its own.
#[must_use]
pub fn median(rounds: &[Quiet], percent: usize) -> Duration {
    let mut all: Vec<Duration> = rounds.iter().map(|quiet| quiet.percentile(percent)).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The quiet tenant alone and then beside a neighbour, so many rounds of each.
///
/// # Panics
/// When the neighbour was idle, which would show nothing.
pub async fn beside(node: &NodeProcess, upstream: &str, neighbour: Neighbour, duration: Duration, rounds: usize) -> [Vec<Quiet>; 2] {
    let tenant = quiet(node, upstream).await;
    // What is compiled and pooled at the first calls is none of the neighbour's.
    let _ = calls(&tenant, duration / 4).await;
    let alone = in_rounds(&tenant, duration, rounds).await;
    let load = Load::start(node, neighbour).await;
    let beside = in_rounds(&tenant, duration, rounds).await;
    load.is_at_work().await;
    load.stop().await;
    [alone, beside]
}

async fn in_rounds(tenant: &Tenant, duration: Duration, rounds: usize) -> Vec<Quiet> {
    let mut all = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        all.push(calls(tenant, duration).await);
    }
    all
}
