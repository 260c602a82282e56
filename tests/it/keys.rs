//! Signatures with keys that no script ever holds: the upstream gets one that fits, a replay tells the same again, and nobody else's key is used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Value, json};
use sha2::Sha256;
use snaphook_testkit::Upstream;
use snaphook_testkit::keys::{RSA_PEM, pem, rsa_pkcs1};
use snaphook_tests::{Response, Tenant};

use crate::connections::{connected, put};
use crate::support::{ok, on_both_databases, problem, tenant};

on_both_databases! {
    a_script_signs_with_a_key_that_it_never_holds,
    a_private_key_signs_in_every_scheme_and_leaves_for_nowhere,
}

const SECRET: &str = "hm4c-k3y-of-the-upstream";
const BODY: &str = r#"{"order":7}"#;

/// Signs the body with HMAC in every way that a script has, and says what it saw.
const SIGNING: &str = "
    export async function preRequest(request, context) {
        const { subtle } = crypto;
        const data = request.bytes();
        const key = context.connection.api_secret;
        const algorithm = { name: 'HMAC', hash: 'SHA-256' };
        const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
        const imported = await subtle.importKey('raw', new TextEncoder().encode(key), algorithm, true, ['sign', 'verify']);
        const signature = await subtle.sign('HMAC', imported, data);
        if (!(await subtle.verify('HMAC', imported, signature, data))) throw new Error('it does not fit');
        const text = await subtle.importKey('raw', `AWS4${key}`, algorithm, false, ['sign']);
        request.headers.set('x-signature', hex(signature));
        request.headers.set('x-derived', hex(await subtle.sign('HMAC', text, data)));
        context.log.info(`signed with ${key} and got ${hex(signature)}`);
    }
";

fn hmac(key: &str, data: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secret() -> Value {
    json!({"kind": "api-key-secret", "fields": {"api_key": "app", "api_secret": SECRET}})
}

async fn replayed(tenant: &Tenant, answer: &Response) -> Value {
    let run = answer.header("x-run-id").unwrap();
    tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200).json()
}

/// Everything that is said of a call, which shows none of these texts.
async fn shows_none(tenant: &Tenant, answer: &Response, texts: &[&str]) {
    let run = answer.header("x-run-id").unwrap();
    let mut said = vec![answer.text(), tenant.record(answer).await.to_string()];
    said.push(tenant.client.get(&format!("/v1/runs/{run}/events")).await.expect(200).text());
    said.push(tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200).text());
    said.push(tenant.client.get("/v1/connections").await.expect(200).text());
    for (text, said) in texts.iter().flat_map(|text| said.iter().map(move |said| (text, said))) {
        assert!(!said.contains(text), "{said}");
    }
}

async fn a_script_signs_with_a_key_that_it_never_holds() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", SIGNING).await;
    connected(&tenant, &upstream, secret(), json!({"pre-request": [{"script": "s"}]})).await;
    let answer = tenant.call("api/x", serde_json::from_str(BODY).unwrap()).await.expect(200);
    let request = upstream.last();
    assert_eq!(request.header("x-signature"), Some(hmac(SECRET, &request.body).as_str()));
    assert_eq!(request.header("x-derived"), Some(hmac(&format!("AWS4{SECRET}"), &request.body).as_str()));
    let before = upstream.requests().len();
    // The secret is another one by now: what was signed then is told, not signed again.
    let mut other = secret();
    other["fields"]["api_secret"] = "another-key-altogether".into();
    let _ = put(&tenant, other).await.expect(200);
    let replay = replayed(&tenant, &answer).await;
    assert_eq!((&replay["same"], upstream.requests().len()), (&json!(true), before), "{replay:#}");
    assert_eq!(replay["invocations"][0]["fuel_before"], replay["invocations"][0]["fuel_after"]);
    shows_none(&tenant, &answer, &[SECRET, "another-key-altogether"]).await;
    let record = tenant.record(&answer).await.to_string();
    assert!(record.contains("[crm.api_secret]") && !record.contains("sealed:"), "{record}");
}

/// Signs the body with a private key; parameters say how. In a variable it leaves the placeholder, which goes out with the request.
const PRIVATE: &str = "
    export async function preRequest(request, context) {
        const { algorithm, signing } = context.parms;
        const key = await crypto.subtle.importKey('pkcs8', context.connection.private_key, algorithm, false, ['sign']);
        const signature = new Uint8Array(await crypto.subtle.sign(signing, key, request.bytes()));
        request.headers.set('x-signature', btoa(String.fromCharCode(...signature)));
        request.headers.set('x-key', context.connection.private_key);
    }
";

type Checked = &'static dyn VerificationAlgorithm;

async fn a_private_key_signs_in_every_scheme_and_leaves_for_nowhere() {
    let chance = ring::rand::SystemRandom::new();
    let rsa = RsaKeyPair::from_der(&rsa_pkcs1()).unwrap().public_key().as_ref().to_vec();
    let ed25519 = Ed25519KeyPair::generate_pkcs8(&chance).unwrap();
    let p256 = EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &chance).unwrap();
    let of_ed25519 = Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap().public_key().as_ref().to_vec();
    let of_p256 = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref(), &chance).unwrap();
    let (ed25519, p256) = (pem("PRIVATE KEY", ed25519.as_ref(), 64), pem("PRIVATE KEY", p256.as_ref(), 64));
    let rsa_with = |name: &str, hash: &str| json!({"algorithm": {"name": name, "hash": hash}, "signing": name});
    let pkcs1 = pem("RSA PRIVATE KEY", &rsa_pkcs1(), 76);
    let ecdsa = json!({"algorithm": {"name": "ECDSA", "namedCurve": "P-256"}, "signing": {"name": "ECDSA", "hash": "SHA-256"}});
    let cases: [(&str, Value, &[u8], Checked); 5] = [
        (RSA_PEM, rsa_with("RSASSA-PKCS1-v1_5", "SHA-256"), &rsa, &signature::RSA_PKCS1_2048_8192_SHA256),
        (&pkcs1, rsa_with("RSASSA-PKCS1-v1_5", "SHA-512"), &rsa, &signature::RSA_PKCS1_2048_8192_SHA512),
        (RSA_PEM, rsa_with("RSA-PSS", "SHA-384"), &rsa, &signature::RSA_PSS_2048_8192_SHA384),
        (&ed25519, json!({"algorithm": "Ed25519", "signing": "Ed25519"}), &of_ed25519, &signature::ED25519),
        (&p256, ecdsa, of_p256.public_key().as_ref(), &signature::ECDSA_P256_SHA256_FIXED),
    ];
    for (key, parms, public, algorithm) in cases {
        let (tenant, upstream) = tenant().await;
        tenant.js("s", PRIVATE).await;
        let connection = json!({"kind": "private-key", "fields": {"username": "ada", "private_key": key}});
        connected(&tenant, &upstream, connection, json!({"pre-request": [{"script": "s", "parms": parms}]})).await;
        let answer = tenant.call("api/x", serde_json::from_str(BODY).unwrap()).await.expect(200);
        let request = upstream.last();
        let signed = STANDARD.decode(request.header("x-signature").unwrap()).unwrap();
        UnparsedPublicKey::new(algorithm, public).verify(&request.body, &signed).unwrap_or_else(|_| panic!("{parms}"));
        assert!(request.header("x-key").unwrap().starts_with("sealed:"), "the key went out");
        // With chance in it, a signature made again would be another one.
        let replay = replayed(&tenant, &answer).await;
        assert_eq!(replay["same"], true, "{replay:#}");
        let line = key.lines().nth(1).unwrap();
        shows_none(&tenant, &answer, &[line, &line[20..40]]).await;
    }
}

/// Tells how signing ends.
const TRYING: &str = "
    import { respond } from 'snaphook';
    export async function preRequest(request, context) {
        const said = [];
        for (const [format, key, algorithm] of context.parms.keys ?? [['raw', context.connection.api_secret, { name: 'HMAC', hash: 'SHA-1' }]]) {
            try {
                const imported = await crypto.subtle.importKey(format, key, algorithm, false, ['sign']);
                await crypto.subtle.sign(algorithm, imported, new Uint8Array(3));
                said.push('signed');
            } catch (error) {
                said.push(`${error.name}: ${error.message}`);
            }
        }
        return respond({ status: 200, body: { said, key: context.connection?.api_secret ?? null } });
    }
";

async fn tried(tenant: &Tenant) -> Value {
    tenant.call("api/x", json!({})).await.expect(200).json()
}

#[tokio::test]
async fn a_placeholder_of_another_run_connection_or_tenant_is_refused() {
    let (ours, upstream) = tenant().await;
    let (theirs, _) = tenant().await;
    for tenant in [&ours, &theirs] {
        tenant.js("s", TRYING).await;
        connected(tenant, &upstream, secret(), json!({"pre-request": [{"script": "s"}]})).await;
    }
    let seen = tried(&theirs).await;
    assert_eq!(seen["said"], json!(["signed"]));
    let before = tried(&ours).await;
    let algorithm = json!({"name": "HMAC", "hash": "SHA-256"});
    let keys: Vec<_> = [&seen["key"], &before["key"]].iter().map(|key| json!(["raw", key, algorithm])).collect();
    let hooks = json!({"pre-request": [{"script": "s", "parms": {"keys": keys}}]});
    connected_again(&ours, &upstream, hooks).await;
    let said = tried(&ours).await["said"].clone();
    for sentence in said.as_array().unwrap() {
        let sentence = sentence.as_str().unwrap();
        assert!(sentence.starts_with("DataError: ") && sentence.contains("names the connection"), "{said}");
    }
    assert_eq!(said.as_array().unwrap().len(), 2);
}

async fn connected_again(tenant: &Tenant, upstream: &Upstream, hooks: Value) {
    let endpoints = json!({"x": {"method": "POST", "path": "/x", "hooks": hooks}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "connection": "crm", "endpoints": endpoints})).await;
}

#[tokio::test]
async fn what_is_no_private_key_is_said_without_showing_it() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", PRIVATE).await;
    let parms = json!({"algorithm": {"name": "RSA-PSS", "hash": "SHA-256"}, "signing": "RSA-PSS"});
    let connection = json!({"kind": "private-key", "fields": {"private_key": "-----BEGIN hunter2-and-more"}});
    connected(&tenant, &upstream, connection, json!({"pre-request": [{"script": "s", "parms": parms}]})).await;
    let answer = tenant.call("api/x", json!({})).await.expect(422);
    let (code, detail) = problem(&answer);
    assert_eq!(code, "script-threw");
    assert!(detail.contains("`crm.private_key` is no private key") && !detail.contains("hunter2"), "{detail}");
    assert_eq!(upstream.requests().len(), 0);
    shows_none(&tenant, &answer, &["hunter2-and-more"]).await;
    assert_eq!(replayed(&tenant, &answer).await["same"], true);
}

#[tokio::test]
async fn a_test_run_signs_with_sample_keys_and_knows_no_secrets() {
    let (tenant, _) = tenant().await;
    let version = tenant.js("s", TRYING).await;
    let test = |connection: Value, parms: Value| json!({"hook": "pre-request", "connection": connection, "parms": parms});
    let sample = tenant.test("s", version, test(json!({"api_secret": "sample"}), json!({}))).await;
    assert_eq!(said(&sample), json!(["signed"]), "{sample}");
    let sealed = format!("sealed:{}", "a".repeat(22));
    let keys = json!([["pkcs8", RSA_PEM, {"name": "RSA-PSS", "hash": "SHA-256"}], ["pkcs8", sealed, {"name": "Ed25519"}], ["raw", sealed, {"name": "HMAC", "hash": "SHA-1"}]]);
    let result = tenant.test("s", version, test(json!({}), json!({"keys": keys}))).await;
    let all = said(&result);
    assert_eq!(all[0], "signed", "{result}");
    for sentence in [&all[1], &all[2]] {
        assert!(sentence.as_str().unwrap().contains("a test run has no secrets"), "{result}");
    }
}

/// What a tried script says of its signatures.
fn said(result: &Value) -> Value {
    let body = &result["response"]["body"];
    body.as_str().map_or_else(|| body["said"].clone(), |text| serde_json::from_str::<Value>(text).unwrap()["said"].clone())
}

#[tokio::test]
async fn a_brought_script_signs_with_a_sealed_key() {
    let (tenant, upstream) = tenant().await;
    let source = "var key = data.callingMessage ? '' : data.message.key;
        ({ status: 200, messageOverride: { sha256: bridge.signHmacSha256(key, 'text') } })";
    tenant.brought("signs", "braincloud", source).await;
    tenant.js("shows", "export function preHook(call, context) { call.arguments.key = context.connection.api_secret; }").await;
    let hooks = json!({"pre-hook": [{"script": "shows"}, {"script": "signs"}]});
    connected(&tenant, &upstream, secret(), hooks).await;
    upstream.on("/x", ok());
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    let hex = hmac(SECRET, b"text");
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    assert_eq!(upstream.last().json(), json!({"sha256": STANDARD.encode(bytes)}));
}

#[tokio::test]
async fn a_replay_signs_nothing_anew() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", SIGNING).await;
    connected(&tenant, &upstream, secret(), json!({"pre-request": [{"script": "s"}]})).await;
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    let other = tenant.js("s", &SIGNING.replace("request.bytes()", "new Uint8Array(5)")).await;
    let run = answer.header("x-run-id").unwrap();
    let replay = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({"scripts": {"s": other}})).await.expect(200).json();
    assert_eq!(replay["same"], false);
    let text = replay["invocations"][0]["after"].to_string();
    assert!(text.contains("nothing was signed"), "{replay:#}");
}
