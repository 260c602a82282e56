//! Nodes killed and links cut at random under load: nothing that was accepted is lost, and nothing is done twice. So it is with several nodes on
//! PostgreSQL, and with one on SQLite that finds after each kill what it left in its data directory.
//!
//! `SNAPHOOK_CHAOS_S` says how long (half a minute and less), `SNAPHOOK_CHAOS_SEED` in which order.

mod disturbed;
mod world;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::Upstream;
use snaphook_tests::{Client, Tenant};
use tokio::sync::{mpsc, oneshot};

use disturbed::Disturbed;
use world::{Asked, Expected, World};

/// Flows of the load.
const FLOWS: [&str; 3] = ["retries", "polls", "calls-back"];

/// Numbers that are the same for the same seed (SplitMix64).
#[derive(Debug)]
struct Chance(AtomicU64);

impl Chance {
    fn below(&self, end: u64) -> u64 {
        let state = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    async fn pause(&self, from_ms: u64, to_ms: u64) {
        tokio::time::sleep(Duration::from_millis(from_ms + self.below(to_ms - from_ms))).await;
    }
}

/// What clients were told.
#[derive(Debug, Default)]
struct Told {
    /// Runs that were accepted, with what they are about.
    runs: Vec<(String, String)>,
    /// Direct calls that were answered, with the serial number in their answer.
    calls: Vec<(String, u64)>,
    /// Callbacks that were taken: what they are about.
    taken: Vec<String>,
    /// Callbacks that were refused as taken before, after an answer that was lost.
    used: Vec<String>,
}

impl Told {
    /// Whether so much happened that a comparison says something.
    fn is_enough(&self) -> bool {
        self.runs.len() > 50 && !self.calls.is_empty()
    }
}

/// All that the load needs, shared by its tasks.
#[derive(Clone)]
struct Load {
    clients: Vec<Client>,
    chance: Arc<Chance>,
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    number: Arc<AtomicU64>,
}

impl Load {
    fn client(&self) -> &Client {
        &self.clients[usize::try_from(self.chance.below(self.clients.len() as u64)).unwrap()]
    }

    /// Makes calls and begins runs until it is told to stop. What fails was not acknowledged, and is forgotten.
    async fn begin_things(self) {
        while !self.stop.load(Ordering::Relaxed) {
            let id = format!("i{}", self.number.fetch_add(1, Ordering::Relaxed));
            let json_headers = [("content-type", "application/json"), ("prefer", "respond-async")];
            match self.chance.below(4) {
                3 => {
                    let body = json!({ "id": id }).to_string();
                    let answer = self.client().try_send("POST", "/v1/call/c/call", &json_headers[..1], body.into()).await;
                    if let Some(answer) = answer.ok().filter(|answer| answer.status == 200) {
                        self.told.lock().unwrap().calls.push((id, answer.json()["serial"].as_u64().unwrap()));
                    }
                }
                flow => {
                    let path = format!("/v1/flows/{}/runs", FLOWS[usize::try_from(flow).unwrap()]);
                    let body = json!({"payload": {"id": id}}).to_string();
                    let answer = self.client().try_send("POST", &path, &json_headers, body.into()).await;
                    if let Some(answer) = answer.ok().filter(|answer| answer.status == 202) {
                        self.told.lock().unwrap().runs.push((answer.json()["run"].as_str().unwrap().to_owned(), id));
                    }
                }
            }
            self.chance.pause(10, 60).await;
        }
    }

    /// Calls back at any node until one of them has taken it.
    async fn call_back(self, expected: Expected) {
        let Expected { correlation, id } = expected;
        self.chance.pause(1, 2_000).await;
        let headers = [("x-link-correlation-id", correlation.as_str()), ("x-link-status", "Ok"), ("content-type", "application/json")];
        let mut lost = false;
        loop {
            let body = json!({"id": id, "back": true}).to_string();
            match self.client().try_send("POST", "/v1/callbacks", &headers, body.into()).await {
                Ok(answer) if answer.status == 200 => return self.told.lock().unwrap().taken.push(id),
                Ok(answer) if answer.status == 409 && lost => return self.told.lock().unwrap().used.push(id),
                Ok(answer) if answer.status < 500 => panic!("callback for {id}: {} {}", answer.status, answer.text()),
                _ => lost = true,
            }
            self.chance.pause(50, 200).await;
        }
    }
}

async fn define(tenant: &Tenant, upstream: &Upstream) {
    let post = |path: &str| json!({"method": "POST", "path": path});
    let endpoints = json!({"call": post("/call"), "ask": post("/ask")});
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    let get = |path: &str| format!("{}?id={{{{ payload.id }}}}", upstream.url(path));
    let done = json!({"name": "Done", "url": upstream.url("/done"), "method": "POST", "data": "{{ payload }}"});
    let flaky = json!({"name": "Flaky", "url": get("/flaky"), "method": "GET", "retry": {"attempts": 5, "delay_s": 1}});
    let condition = json!({"response_notation": "s", "value": "done"});
    let poll =
        json!({"name": "Poll", "url": get("/poll"), "method": "GET", "continue_if": condition, "polling": {"interval": 1, "amount": 50}});
    let ask = json!({"name": "Ask", "call": "c/ask", "async": {"timeout_s": 600}});
    for (flow, first) in FLOWS.into_iter().zip([flaky, poll, ask]) {
        tenant.flow(flow, json!({ "steps": [first, done] })).await;
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_and_nothing_is_done_twice() {
    hold_under(Disturbed::three_on_postgres(), variable("SNAPHOOK_CHAOS_S", 30)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_on_sqlite_that_is_killed_loses_nothing_and_does_nothing_twice() {
    hold_under(Disturbed::one_on_sqlite(), variable("SNAPHOOK_CHAOS_S", 20)).await;
}

/// Puts nodes under load, disturbs them for so many seconds, and compares what clients were told, what histories say and what the upstream has seen.
async fn hold_under(mut disturbed: Disturbed, seconds: u64) {
    let seed = variable("SNAPHOOK_CHAOS_SEED", 1);
    // Also where nothing else is said, since a comparison failed.
    println!("seed {seed}");
    let chance = Arc::new(Chance(AtomicU64::new(seed)));
    let (upstream, world, mut expected) = world::upstream().await;
    let tenant = disturbed.nodes[0].tenant().await;
    define(&tenant, &upstream).await;
    let clients = disturbed.nodes.iter().map(|node| Client::new(node.url(), tenant.client.token.as_deref())).collect();
    let load = Load { clients, chance: Arc::clone(&chance), told: Arc::default(), stop: Arc::default(), number: Arc::default() };
    let beginning: Vec<_> = (0..4).map(|_| tokio::spawn(load.clone().begin_things())).collect();
    let (finish, finished) = oneshot::channel();
    let callbacks = tokio::spawn({
        let load = load.clone();
        async move { call_back_always(load, &mut expected, finished).await }
    });
    let [kills, cuts, outages] = disturbed.disturb(&chance, seconds, || load.told.lock().unwrap().is_enough()).await;
    load.stop.store(true, Ordering::Relaxed);
    for task in beginning {
        task.await.unwrap();
    }
    let accepted = load.told.lock().unwrap().runs.clone();
    let records = all_ended(&load.clients[0], &accepted).await;
    finish.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(60), callbacks).await.expect("every callback is taken").unwrap();
    let told = std::mem::take(&mut *load.told.lock().unwrap());
    compare(&told, &records, &world);
    let unknown = records.values().filter(|record| record["code"] == "outcome-unknown").count();
    println!(
        "{kills} kills, {cuts} cuts, {outages} outages; {} calls, {} runs, of {unknown} of which an outcome is unknown; \
         {} callbacks whose answer was lost",
        told.calls.len(),
        accepted.len(),
        told.used.len()
    );
    assert!(told.is_enough(), "too little happened: {} runs, {} calls", accepted.len(), told.calls.len());
}

/// Calls back whatever is expected; after the signal, what is under way only.
async fn call_back_always(load: Load, expected: &mut mpsc::UnboundedReceiver<Expected>, mut finished: oneshot::Receiver<()>) {
    let mut calling = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Some(next) = expected.recv() => drop(calling.spawn(load.clone().call_back(next))),
            Some(ended) = calling.join_next() => ended.unwrap(),
            _ = &mut finished => break,
        }
    }
    while let Ok(next) = expected.try_recv() {
        calling.spawn(load.clone().call_back(next));
    }
    while let Some(ended) = calling.join_next().await {
        ended.unwrap();
    }
}

/// Waits until every run has ended; gives their records.
async fn all_ended(client: &Client, accepted: &[(String, String)]) -> HashMap<String, Value> {
    let mut records = HashMap::new();
    for (run, id) in accepted {
        // For each anew: how long all of them take says how fast the machine is.
        let begun = Instant::now();
        loop {
            let answer = client.try_send("GET", &format!("/v1/runs/{run}"), &[], "".into()).await;
            let record = answer.ok().filter(|answer| answer.status != 503).map(|answer| answer.expect(200).json());
            let Some(record) = record else { continue };
            if !matches!(record["status"].as_str(), Some("queued" | "running" | "waiting")) {
                records.insert(id.clone(), record);
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "an accepted run does not end: {record}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    records
}

/// Compares what clients were told, what the histories say, and what the upstream has noted down.
fn compare(told: &Told, records: &HashMap<String, Value>, world: &World) {
    let (asked, mut recorded) = (world.asked(), HashSet::new());
    for (id, serial) in &told.calls {
        let known = asked.get(serial).map(|asked| (asked.path.as_str(), asked.id.as_str()));
        assert_eq!(known, Some(("/call", id.as_str())), "an answer is the upstream's");
    }
    for (id, record) in records {
        let steps = record["steps"].as_array().unwrap();
        let good = record["status"] == "succeeded";
        assert!(good || record["code"] == "outcome-unknown", "{id}: {record}");
        for step in steps {
            let path = format!("/{}", step["name"].as_str().unwrap().to_lowercase());
            let answered = step["attempts"].as_array().unwrap().iter().filter(|attempt| attempt["response"]["status"].as_u64() > Some(0));
            let mut outcomes = 0;
            for attempt in answered {
                let body: Value = serde_json::from_str(attempt["response"]["body"].as_str().unwrap()).unwrap();
                let serial = body["serial"].as_u64().unwrap();
                let known = asked.get(&serial).map(|asked| (&asked.path, &asked.id));
                assert_eq!(known, Some((&path, id)), "a history says what the upstream has answered: {record}");
                assert!(recorded.insert(serial), "an answer is recorded once: {record}");
                outcomes += 1;
            }
            if ["/ask", "/done"].contains(&path.as_str()) {
                let unknown = u32::from(step["code"] == "outcome-unknown");
                let times = world.times(&path, id);
                assert!(outcomes <= times && times <= outcomes + unknown, "{id} {path}: asked {times} times: {record}");
            }
        }
        if good && steps[0]["name"] == "Ask" {
            let waits = steps[0]["waits"].as_array().unwrap();
            assert!(waits.len() == 1 && waits[0]["ended_at"].is_string(), "it was called back once: {record}");
            let called_back = told.taken.iter().chain(&told.used).filter(|taken| *taken == id).count();
            assert_eq!(called_back, 1, "{record}");
        }
    }
    // Whoever asked, and whether it was acknowledged or not.
    for Asked { path, id } in asked.values() {
        assert!(["/flaky", "/poll"].contains(&path.as_str()) || world.times(path, id) == 1, "{path} of {id} was asked twice");
    }
}
