//! The upstream of the chaos test, which keeps a record of its own, and whoever calls back for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use snaphook_testkit::{Answer, Gate, Recorded, Upstream};
use tokio::sync::mpsc;

/// A request as the upstream noted it down.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// What it was about; each run and each call is about something of its own.
    pub(crate) id: String,
}

/// A callback that somebody waits for.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) correlation: String,
    pub(crate) id: String,
}

/// What the upstream has seen.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// By the serial number that is in the answer.
    asked: Mutex<HashMap<u64, Asked>>,
    serial: AtomicU64,
    /// By path and id: so often.
    times: Mutex<HashMap<(String, String), u32>>,
}

impl World {
    /// Everything that was asked.
    pub(crate) fn asked(&self) -> HashMap<u64, Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often this was asked.
    pub(crate) fn times(&self, path: &str, id: &str) -> u32 {
        self.times.lock().unwrap().get(&(path.to_owned(), id.to_owned())).copied().unwrap_or_default()
    }

    /// Notes a request down and gives its serial number, what it is about, and how often that was asked before.
    fn note(&self, request: &Recorded) -> (u64, String, u32) {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let id = match query.strip_prefix("id=") {
            Some(id) => id.to_owned(),
            None => request.json()["id"].as_str().unwrap_or_default().to_owned(),
        };
        let serial = self.serial.fetch_add(1, Ordering::Relaxed) + 1;
        self.asked.lock().unwrap().insert(serial, Asked { path: path.to_owned(), id: id.clone() });
        let mut times = self.times.lock().unwrap();
        let times = times.entry((path.to_owned(), id.clone())).or_default();
        *times += 1;
        (serial, id, *times - 1)
    }
}

/// Every third answer is late, so that there is something in the middle of which a node can be killed.
fn in_its_time(answer: Answer, serial: u64) -> Answer {
    if !serial.is_multiple_of(3) {
        return answer;
    }
    let gate = Gate::closed();
    let opens = gate.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100 + serial % 200)).await;
        opens.open();
    });
    answer.after(&gate)
}

/// Starts the upstream. Callbacks that are asked for come out of the receiver.
pub(crate) async fn upstream() -> (Upstream, Arc<World>, mpsc::UnboundedReceiver<Expected>) {
    let (upstream, world) = (Upstream::start().await, Arc::<World>::default());
    let (expects, expected) = mpsc::unbounded_channel();
    let on = |path: &'static str, answers: fn(u64, &str, u32) -> Answer| {
        let (world, expects) = (Arc::clone(&world), expects.clone());
        upstream.on_request(path, move |request| {
            let (serial, id, before) = world.note(request);
            if let Some(correlation) = request.header("x-link-correlation-id") {
                // Nobody calls back any more once the test is over.
                drop(expects.send(Expected { correlation: correlation.to_owned(), id: id.clone() }));
            }
            in_its_time(answers(serial, &id, before), serial)
        });
    };
    on("/call", |serial, id, _| Answer::json(json!({"id": id, "serial": serial})));
    on("/done", |serial, id, _| Answer::json(json!({"id": id, "serial": serial})));
    on("/ask", |serial, id, _| Answer::json(json!({"id": id, "serial": serial})).with_status(202));
    on("/flaky", |serial, id, before| {
        let answer = Answer::json(json!({"id": id, "serial": serial}));
        if before == 0 { answer.with_status(503) } else { answer }
    });
    on("/poll", |serial, id, before| {
        let word = if before < 2 { "open" } else { "done" };
        Answer::json(json!({"id": id, "serial": serial, "s": word}))
    });
    (upstream, world, expected)
}
