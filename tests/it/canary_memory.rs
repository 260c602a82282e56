//! The linear memory of guests that have placeholders, sign with them and hear answers that repeat their secrets, searched for every secret. A guest is
//! looked at where it stands, while it waits for an answer: the memory of the node's process that is a guest's is read from outside.

mod looping;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snaphook_testkit::keys::RSA_PEM;
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{NodeProcess, Tenant};

use crate::canary::{Search, Tokens, agree, connections, secrets};
use crate::support::node;

/// Has everything of its connection, sends and signs it, hears what comes back, and waits. What it made of text that is in no source shows that the memory that
/// was read is its own.
const HOLDING: &str = "
    export default async function (payload, context) {
        const held = [JSON.stringify(context.connection)];
        const texts = Object.values(context.connection).map(String);
        const heard = await fetch('api:/echo', { method: 'POST', body: texts.join(' '), headers: { 'content-type': 'text/plain' } });
        held.push(await heard.text(), JSON.stringify([...heard.headers]));
        for (const text of texts.filter((text) => text.startsWith('sealed:'))) {
            try {
                const key = await crypto.subtle.importKey('raw', text, { name: 'HMAC', hash: 'SHA-256' }, true, ['sign']);
                held.push(btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.sign('HMAC', key, new Uint8Array(8))))));
                const rsa = await crypto.subtle.importKey('pkcs8', text, { name: 'RSA-PSS', hash: 'SHA-256' }, false, ['sign']);
                held.push(String((await crypto.subtle.sign('RSA-PSS', rsa, new Uint8Array(8))).byteLength));
            } catch (error) {
                held.push(error.message);
            }
        }
        held.push(['m4rk', context.parms.number, 'er'].join('-'));
        await fetch('api:/wait', { method: 'POST', body: held.join('\\n') });
        return held;
    }
";

const PAGE: usize = 4096;

/// The memory of guests in a process: images of the interpreter's memory, and what they grew by.
fn guests(pid: u32) -> Vec<u8> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process is ours");
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("the process is ours");
    let (mut bytes, mut end_before) = (Vec::new(), 0);
    for line in maps.lines() {
        let mut parts = line.split_whitespace();
        let range = parts.next().and_then(|range| range.split_once('-')).expect("a range");
        let [begin, end] = [range.0, range.1].map(|at| u64::from_str_radix(at, 16).expect("an address"));
        let rights = parts.next().unwrap_or_default();
        let is_image = line.contains("wasm-memory-image");
        if rights.starts_with("rw") && (is_image || begin == end_before) {
            let length = usize::try_from(end - begin).unwrap();
            let mut part = vec![0; length];
            // A guest that has ended meanwhile has no memory any more.
            if memory.seek(SeekFrom::Start(begin)).and_then(|_| memory.read_exact(&mut part)).is_err() {
                continue;
            }
            // What no guest has written to holds nothing.
            part.chunks(PAGE).filter(|page| **page != [0; PAGE][..page.len()]).for_each(|page| bytes.extend_from_slice(page));
            end_before = end;
        }
    }
    bytes
}

/// Stores a connection; where somebody has to agree to it, somebody does.
async fn stored(tenant: &Tenant, name: &str, connection: &Value) {
    let _ = tenant.client.put(&format!("/v1/connections/{name}"), connection).await.expect(201);
    if connection["kind"] == "oauth2-authorization-code" {
        let _ = agree(tenant, name).await;
    }
}

/// Runs a step to where it waits, and gives the guests' memory then.
async fn held(own: &NodeProcess, tenant: &Tenant, upstream: &Upstream, connection: &Value, number: usize) -> Vec<u8> {
    let name = format!("c{number}");
    stored(tenant, &name, connection).await;
    tenant.connector("api", json!({"base_url": upstream.url(""), "connection": name, "endpoints": {}})).await;
    tenant.flow("f", json!({"steps": [{"script": "hold", "connection": name, "parms": {"number": number}}]})).await;
    let (gate, (arrived, arriving)) = (Gate::closed(), tokio::sync::mpsc::unbounded_channel());
    let mut arriving = arriving;
    let waiting = gate.clone();
    upstream.on_request("/wait", move |_| {
        let _ = arrived.send(());
        Answer::json(json!({})).after(&waiting)
    });
    let look = async {
        arriving.recv().await.expect("the upstream lives");
        let memory = guests(own.pid());
        gate.open();
        memory
    };
    let (answer, memory) = tokio::join!(tenant.run("f", json!({})), look);
    let answer = answer.expect(200);
    assert!(answer.text().contains(&format!("m4rk-{number}-er")), "{}", answer.text());
    memory
}

/// An upstream that repeats all that it gets, with addresses of tokens.
async fn repeating() -> (Upstream, Tokens) {
    let upstream = Upstream::start().await;
    upstream.on_request("/echo", |request| {
        let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let body = request.text();
        Answer::json(
            json!({"body": body, "encoded": STANDARD.encode(&body), "authorization": header("authorization"), "path": request.path}),
        )
    });
    let tokens = Tokens::at(&upstream);
    (upstream, tokens)
}

/// Whether a text is in some memory.
fn holds(memory: &[u8], text: &str) -> bool {
    aho_corasick::AhoCorasick::new([text]).unwrap().is_match(memory)
}

/// Fails where the memory of a guest holds a secret, as bytes or as texts of wide letters.
fn assert_clean(search: &Search, whose: &str, mut memory: Vec<u8>) {
    search.assert_clean(whose, &memory);
    memory.retain(|byte| *byte != 0);
    search.assert_clean(&format!("{whose}, in wide letters"), &memory);
}

#[tokio::test]
async fn no_guests_memory_holds_a_secret() {
    let own = NodeProcess::start_like(node());
    let tenant = own.tenant_with(json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    let (upstream, tokens) = repeating().await;
    tenant.js("hold", HOLDING).await;
    let mut secrets = secrets();
    let mut all = connections(&upstream, &secrets);
    all.push(json!({"kind": "private-key", "fields": {"private_key": RSA_PEM}}));
    secrets.extend(RSA_PEM.lines().filter(|line| !line.starts_with('-')).map(str::to_owned));
    for (number, connection) in all.iter().enumerate() {
        let memory = held(&own, &tenant, &upstream, connection, number).await;
        for mark in [format!("m4rk-{number}-er"), "sealed:".to_owned()] {
            assert!(holds(&memory, &mark), "the memory of the guest was not found: {} bytes", memory.len());
        }
        let search = Search::new(&[&secrets[..], &tokens.all(&upstream)[..]].concat());
        assert_clean(&search, &format!("a guest's memory with {connection}"), memory);
    }
    // They did go out, and so did tokens.
    let received: String =
        upstream.requests().iter().map(|request| request.path.clone() + &request.text() + &format!("{:?}", request.headers)).collect();
    assert!(received.contains("c4n4ry") && received.contains("refresh-c4n4ry"));
}
