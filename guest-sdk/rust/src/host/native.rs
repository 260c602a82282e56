//! The test host: one per thread, prepared and inspected by [`testing::Test`](crate::testing::Test).

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::context::Scope;
use crate::crypto::Scheme;
use crate::http;
use crate::log::Level;

type Signer = Box<dyn FnMut(Scheme, &[u8], &[u8]) -> Result<Vec<u8>, String>>;
type Answerer = Box<dyn FnMut(&http::Request) -> Result<http::Response, http::Failure>>;

/// What the guest reaches and leaves behind.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) logs: Vec<(Level, String)>,
    pub(crate) values: BTreeMap<(u8, String), String>,
    /// Whether the invocation belongs to a flow.
    pub(crate) has_flow: bool,
    pub(crate) requests: Vec<http::Request>,
    /// Absent: the invocation has no grant for requests.
    pub(crate) answerer: Option<Answerer>,
    pub(crate) outcomes: BTreeMap<u32, Result<http::Response, http::Failure>>,
    /// Absent: nobody signs with private keys.
    pub(crate) signer: Option<Signer>,
    /// State of the generator behind `crypto::random`.
    pub(crate) chance: u64,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Reaches this thread's host. The guest's own code never runs inside `f`.
pub(crate) fn with<T>(f: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(f)
}

/// The host's functions as the guest calls them.
pub(crate) mod calls {
    use hmac::{Hmac, KeyInit, Mac};
    use sha1::Sha1;
    use sha2::{Digest, Sha256, Sha384, Sha512};

    use super::with;
    use crate::context::{Refusal, Scope};
    use crate::crypto::{Algorithm, Scheme};
    use crate::http;
    use crate::log::Level;

    /// Limits of the node's own: `meta` and `variables`, keys and values together.
    const META_BYTES: usize = 10_240;
    const VARIABLES_BYTES: usize = 1 << 20;
    /// The default limit of a tenant, and the longest key of a state.
    const STATE_BYTES: usize = 4 << 20;
    const STATE_KEY_BYTES: usize = 512;

    // Inputs of a native test carry their bodies and arguments, so these have nothing to give.
    pub(crate) fn body() -> Vec<u8> {
        Vec::new()
    }

    pub(crate) fn payload_type() -> Option<String> {
        None
    }

    pub(crate) fn arguments() -> Vec<u8> {
        b"null".to_vec()
    }

    pub(crate) fn log(level: Level, message: &str) {
        with(|host| host.logs.push((level, message.to_owned())));
    }

    pub(crate) fn get(scope: Scope, key: &str) -> Option<String> {
        with(|host| {
            let there = scope != Scope::FlowState || host.has_flow;
            host.values.get(&(scope as u8, key.to_owned())).filter(|_| there).cloned()
        })
    }

    pub(crate) fn set(scope: Scope, key: &str, value: Option<&str>) -> Result<(), Refusal> {
        let limit = match scope {
            Scope::Variables => VARIABLES_BYTES,
            Scope::Meta => META_BYTES,
            Scope::FlowState if !with(|host| host.has_flow) => return Err(Refusal::ReadOnly),
            Scope::FlowState | Scope::TenantState => STATE_BYTES,
            Scope::Config | Scope::StepResults | Scope::Connection => return Err(Refusal::ReadOnly),
        };
        if matches!(scope, Scope::FlowState | Scope::TenantState) && (key.len() > STATE_KEY_BYTES || key.contains('\0')) {
            return Err(Refusal::Invalid);
        }
        let place = (scope as u8, key.to_owned());
        let Some(value) = value else {
            with(|host| host.values.remove(&place));
            return Ok(());
        };
        if serde_json::from_str::<serde::de::IgnoredAny>(value).is_err() {
            return Err(Refusal::Invalid);
        }
        with(|host| {
            let others = host.values.iter().filter(|(other, _)| other.0 == place.0 && **other != place);
            let used: usize = others.map(|((scope, key), value)| key.len() + size(*scope, value)).sum();
            if used + key.len() + size(place.0, value) > limit {
                return Err(Refusal::TooLarge);
            }
            host.values.insert(place, value.to_owned());
            Ok(())
        })
    }

    /// What a value counts: in `meta` its text, elsewhere its JSON text.
    fn size(scope: u8, json: &str) -> usize {
        if scope == Scope::Meta as u8 {
            return serde_json::from_str::<String>(json).map_or(json.len(), |text| text.len());
        }
        json.len()
    }

    pub(crate) fn keys(scope: Scope) -> Vec<String> {
        with(|host| host.values.keys().filter(|(s, _)| *s == scope as u8).map(|(_, key)| key.clone()).collect())
    }

    pub(crate) fn http_start(request: http::Request) -> Result<u32, http::Failure> {
        // The test's closure may call host functions itself, so the host is not borrowed while it runs.
        let Some(mut answerer) = with(|host| host.answerer.take()) else {
            return Err(http::Failure::new("egress-refused", "this invocation has no grant for requests"));
        };
        let outcome = answerer(&request);
        with(|host| {
            host.answerer = Some(answerer);
            host.requests.push(request);
            let ticket = u32::try_from(host.requests.len()).expect("a test makes fewer than four thousand million requests");
            host.outcomes.insert(ticket, outcome);
            Ok(ticket)
        })
    }

    pub(crate) fn http_wait(tickets: &[u32]) -> (u32, Result<http::Response, http::Failure>) {
        let found = with(|host| tickets.iter().find_map(|ticket| host.outcomes.remove_entry(ticket)));
        found.expect("each ticket is waited for once, and `Pending` alone holds it")
    }

    pub(crate) fn digest(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
        match algorithm {
            Algorithm::Sha1 => Sha1::digest(data).to_vec(),
            Algorithm::Sha256 => Sha256::digest(data).to_vec(),
            Algorithm::Sha384 => Sha384::digest(data).to_vec(),
            Algorithm::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    pub(crate) fn hmac(algorithm: Algorithm, key: &[u8], data: &[u8]) -> Vec<u8> {
        fn of<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
            let mut mac = <M as KeyInit>::new_from_slice(key).expect("an HMAC takes keys of every length");
            mac.update(data);
            mac.finalize().into_bytes().to_vec()
        }
        match algorithm {
            Algorithm::Sha1 => of::<Hmac<Sha1>>(key, data),
            Algorithm::Sha256 => of::<Hmac<Sha256>>(key, data),
            Algorithm::Sha384 => of::<Hmac<Sha384>>(key, data),
            Algorithm::Sha512 => of::<Hmac<Sha512>>(key, data),
        }
    }

    pub(crate) fn sign(scheme: Scheme, key: &[u8], data: &[u8]) -> Result<Vec<u8>, String> {
        // As with requests, the test's closure may call host functions itself.
        if let Some(mut signer) = with(|host| host.signer.take()) {
            let signature = signer(scheme, key, data);
            with(|host| host.signer = Some(signer));
            return signature;
        }
        match scheme {
            Scheme::Hmac(algorithm) => Ok(hmac(algorithm, key, data)),
            _ => Err("this test signs with no private keys; `Test::signing` does".to_owned()),
        }
    }

    pub(crate) fn random(count: u32) -> Vec<u8> {
        // SplitMix64: good enough for tests, and it follows from the seed.
        let next = || {
            with(|host| {
                host.chance = host.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = host.chance;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            })
        };
        let mut bytes = Vec::with_capacity(count as usize + 8);
        while bytes.len() < count as usize {
            bytes.extend(next().to_le_bytes());
        }
        bytes.truncate(count as usize);
        bytes
    }
}

/// Prepares a value without the checks that a guest's write meets.
pub(crate) fn put(scope: Scope, key: String, json: String) {
    with(|host| host.values.insert((scope as u8, key), json));
}
