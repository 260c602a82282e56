//! A neighbour at work: more requests at once than a node has places for one tenant, each connection's one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use snaphook_testkit::keys::RSA_PEM;
use snaphook_testkit::{Answer, Gate, Upstream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Neighbour;
use crate::client::Response;
use crate::{NodeProcess, Tenant};

/// Requests of the neighbour at once.
const AT_ONCE: usize = 128;
/// Runs that one tenant may have waiting.
const QUEUED: usize = 10_000;
/// Bytes of all secrets that one request may use.
const LARGEST: usize = 16 << 10;
/// Templates that one document may have.
const TEMPLATES: usize = 2_000;
/// On a busy machine a compile child may take longer than the quiet tenant was looked at.
const PATIENCE: Duration = Duration::from_secs(60);

/// A neighbour at work.
pub struct Load {
    neighbour: Neighbour,
    tenant: Tenant,
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
    as_expected: Arc<AtomicU64>,
    /// Of its own, since a client that is behind its neighbour's in one process says nothing of a node. None once it has stopped.
    runtime: Option<Runtime>,
    /// Takes requests and does not answer them.
    _holding: Upstream,
}

impl Load {
    /// Begins, and returns when everything that can be in flight is.
    pub async fn start(node: &NodeProcess, neighbour: Neighbour) -> Self {
        let holding = Upstream::start().await;
        holding.skim("/held").on("/held", Answer::json(json!({})).after(&Gate::closed()));
        let tenant = ready(node, neighbour, &holding).await;
        let (stop, as_expected) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let begun = Arc::new(Semaphore::new(0));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime can be made");
        let sender = |number: usize| {
            let (stop, begun, tenant, as_expected) = (Arc::clone(&stop), Arc::clone(&begun), tenant.clone(), Arc::clone(&as_expected));
            runtime.spawn(async move {
                if neighbour == Neighbour::QueuedRuns {
                    fill(&tenant).await;
                }
                begun.add_permits(1);
                send(&tenant, neighbour, (number, &stop), &as_expected).await;
            })
        };
        let senders: Vec<_> = (0..AT_ONCE).map(sender).collect();
        let _ = begun.acquire_many(u32::try_from(AT_ONCE).unwrap_or(1)).await;
        Self { neighbour, tenant, stop, senders, as_expected, runtime: Some(runtime), _holding: holding }
    }

    /// Waits until it has been seen at work: a request of it has ended in the way that it is made for, and of a queue some runs still wait.
    ///
    /// # Panics
    /// When it is idle.
    pub async fn is_at_work(&self) {
        let begun = Instant::now();
        while self.as_expected.load(Ordering::Relaxed) == 0 || !self.has_queued().await {
            assert!(begun.elapsed() < PATIENCE, "{}: the neighbour was idle", self.neighbour.words());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether runs wait, where it is about them.
    async fn has_queued(&self) -> bool {
        if self.neighbour != Neighbour::QueuedRuns {
            return true;
        }
        let waiting = self.tenant.client.get("/v1/runs?status=queued&limit=1").await;
        // It may be refused at the moment, as it asks for all that it can get.
        waiting.status == 200 && waiting.json()["items"].as_array().is_some_and(|items| !items.is_empty())
    }

    /// Ends; what is in flight is given up.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for sender in std::mem::take(&mut self.senders) {
            sender.abort();
            let _ = sender.await;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Within another runtime none may be waited for.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// A tenant with everything that the neighbour needs.
async fn ready(node: &NodeProcess, neighbour: Neighbour, holding: &Upstream) -> Tenant {
    // Its own quota does not stand in its way: what is shown is what a node does without, and what it does with those whom it refuses.
    let mut document = json!({"limits": {"fuel": 1_000_000_000_000_u64, "wall_ms": 1_000}, "egress": {"allow_private": ["127.0.0.0/8"]},
        "quota": {"concurrency": 1_000_000, "rate_per_s": 1_000_000}});
    let tenant = node.tenant_with(document.clone()).await;
    tenant.js("greedy", neighbour.script()).await;
    let step = match neighbour {
        Neighbour::Signatures => {
            connection(&tenant, json!({"kind": "private-key", "fields": {"private_key": RSA_PEM}})).await;
            json!({"script": "greedy", "connection": "own"})
        }
        // All of them together take more than the templates of one request may, so nothing is sent.
        Neighbour::Templates => {
            json!({"url": holding.url("/held"), "method": "POST", "data": vec!["{%for a in range(9999)%}{%endfor%}"; TEMPLATES]})
        }
        Neighbour::Secrets => {
            let secret: String = (0..LARGEST / 16).map(|number| format!("{number:016x}")).collect();
            connection(&tenant, json!({"kind": "api-key", "fields": {"api_key": secret}})).await;
            json!({"url": holding.url("/held"), "method": "POST", "connection": "own", "timeout_s": 1, "data": {"key": "{{ connection.api_key }}"}})
        }
        _ => json!({"script": "greedy"}),
    };
    tenant.flow("f", json!({"steps": [step]})).await;
    if neighbour == Neighbour::Refused {
        document["quota"]["rate_per_s"] = json!(1);
        let _ = node.operator().put(&format!("/v1/tenants/{}", tenant.name), &document).await.expect(200);
    }
    tenant
}

async fn connection(tenant: &Tenant, document: serde_json::Value) {
    let _ = tenant.client.put("/v1/connections/own", &document).await.expect(201);
}

/// Its part of all the runs that may wait, or until there are so many.
async fn fill(tenant: &Tenant) {
    for _ in 0..QUEUED.div_ceil(AT_ONCE) {
        if queue(tenant).await.is_ok_and(|answer| answer.status != 202) {
            return;
        }
    }
}

async fn queue(tenant: &Tenant) -> Result<Response, String> {
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    tenant.client.try_send("POST", "/v1/flows/f/runs", &headers, "{}".into()).await
}

/// One connection's requests, one after another.
async fn send(tenant: &Tenant, neighbour: Neighbour, (number, stop): (usize, &AtomicBool), as_expected: &AtomicU64) {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let answer = match neighbour {
            Neighbour::Uploads => {
                // Another text each time; it works at top level for as long as it may.
                let source = format!("const n = {count}; for (let i = 0; i < 1e12; i++) globalThis.x = i + n; export default () => n;");
                let path = format!("/v1/scripts/heavy-{number}");
                tenant.client.try_send("PUT", &path, &[("content-type", "application/javascript")], source.into()).await
            }
            Neighbour::QueuedRuns => queue(tenant).await,
            _ => {
                let json = ("content-type", "application/json");
                tenant.client.try_send("POST", "/v1/flows/f/runs", &[json], "{\"payload\":{}}".into()).await
            }
        };
        if answer.is_ok_and(|answer| is_expected(neighbour, &answer)) {
            as_expected.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether a request was accepted, where that is what is wanted, or ended over the budget that it is to spend, or for want of a place or memory, of
/// which a tenant has half.
fn is_expected(neighbour: Neighbour, answer: &Response) -> bool {
    let wanted: &[&str] = match neighbour {
        Neighbour::QueuedRuns if answer.status == 202 => return true,
        Neighbour::Templates => &["template-limit"],
        Neighbour::Secrets => &["timeout"],
        Neighbour::Refused => &["quota-rate"],
        // For want of a place nothing was signed.
        Neighbour::Signatures => &["fuel", "deadline"],
        _ => &["fuel", "deadline", "memory", "compile", "overloaded"],
    };
    let problem = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
    problem["code"].as_str().is_some_and(|code| wanted.contains(&code))
}
