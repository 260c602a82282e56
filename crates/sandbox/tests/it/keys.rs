//! Signatures that others make for a guest: what they cost, what is kept of them, and what a replay tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use snaphook_model::{Code, Fault, SignatureScheme, Signed};
use snaphook_sandbox::{GuestKeys, GuestMac, MAX_EXCHANGE_BYTES, Outcome, Recorded, SignFuture};

use crate::guests::{JSON, KEEP, give, stepper};
use crate::support::{Bench, fault, limits, returned, step};

/// Numbers of the contract's schemes.
const HMAC: u32 = 1;
const ED25519: u32 = 11;
const RSA: u32 = 7;

/// Signs with so many bytes that count up from signature to signature, or refuses.
#[derive(Default)]
struct Signing {
    bytes: usize,
    refuses: Option<Fault>,
    asked: AtomicU32,
}

impl Signing {
    fn next(&self) -> Result<Vec<u8>, Fault> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        self.refuses.clone().map_or_else(|| Ok(vec![b'a' + (number % 26) as u8; self.bytes]), Err)
    }
}

/// Says how many bytes it was given.
struct Counting(usize);

impl GuestMac for Counting {
    fn update(&mut self, data: &[u8]) {
        self.0 += data.len();
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}

impl GuestKeys for Signing {
    fn mac(&self, scheme: SignatureScheme, _: &[u8]) -> Result<Box<dyn GuestMac>, Fault> {
        assert!(scheme.is_hmac());
        self.next().map(|_| Box::new(Counting(0)) as _)
    }

    fn sign(&self, scheme: SignatureScheme, _: Vec<u8>, _: Bytes) -> SignFuture {
        assert!(!scheme.is_hmac());
        let made = self.next();
        Box::pin(async move { made })
    }
}

/// A guest that signs so many times, and gives the last signature, or the sentence in its place.
fn signer(scheme: u32, count: u32, data_bytes: u32) -> Vec<u8> {
    let items = format!(
        r#"(import "snaphook:hook/crypto@0.1.0" "sign" (func $sign (param i32 i32 i32 i32 i32 i32)))
      (data (i32.const 300) "sealed:ABCDEFGHIJKLMNOPQRSTUV")
      {JSON}"#
    );
    let code = format!(
        "(local $i i32) (drop (memory.grow (i32.const 100)))
         (loop $again
           (global.set $heap (i32.const 65536))
           (call $sign (i32.const {scheme}) (i32.const 300) (i32.const 29) (i32.const 1048576) (i32.const {data_bytes}) (i32.const 400))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const {count}))))
         {}",
        give("(i32.load (i32.const 404))", "(i32.load (i32.const 408))")
    );
    stepper(&["import crypto"], &items, &code)
}

async fn run(component: &[u8], keys: Option<Signing>) -> Outcome {
    let bench = Bench::new();
    let program = bench.program(component);
    let mut invocation = step(limits());
    invocation.keys = keys.map(|keys| Arc::new(keys) as _);
    bench.sandbox.invoke(&program, invocation).await
}

async fn again(component: &[u8], signatures: Vec<Signed>) -> Outcome {
    let bench = Bench::new();
    let program = bench.program(component);
    let recorded = Recorded { signatures, ..Recorded::default() };
    bench.sandbox.replay(&program, step(limits()), recorded, Instant::now() + Duration::from_secs(60)).await
}

#[tokio::test]
async fn a_replay_tells_signatures_again_at_the_same_price() {
    // Two signatures of the same, which differ: chance is in them.
    for (scheme, expected) in [(ED25519, "bbb"), (RSA, "bbb"), (HMAC, "700000")] {
        let component = signer(scheme, 2, 700_000);
        let first = run(&component, Some(Signing { bytes: 3, ..Signing::default() })).await;
        assert_eq!(returned(&first), Some(expected.as_bytes()), "{scheme}");
        let signatures = first.signatures.clone().unwrap();
        assert_eq!(signatures.len(), 2);
        let replayed = again(&component, signatures.clone()).await;
        assert_eq!((returned(&replayed), replayed.usage.fuel), (returned(&first), first.usage.fuel), "{scheme}");
        assert_eq!(replayed.signatures, first.signatures, "a replay can be replayed");
        assert!(first.usage.fuel > 2 * 4 * 700_000, "{}", first.usage.fuel);
        // One signature fewer: nobody invents the second.
        let diverged = again(&component, signatures[..1].to_vec()).await;
        assert!(fault(&diverged).detail.contains("nothing was signed"), "{:?}", diverged.result);
        // Other data is another question.
        let other = again(&signer(scheme, 1, 699_999), signatures).await;
        assert!(fault(&other).detail.contains("nothing was signed"), "{:?}", other.result);
    }
}

#[tokio::test]
async fn a_refusal_is_told_and_told_again() {
    for scheme in [HMAC, ED25519] {
        let component = signer(scheme, 1, 10);
        let refuses = Some(Fault::new(Code::ScriptContract, "no such key"));
        let first = run(&component, Some(Signing { refuses, ..Signing::default() })).await;
        assert_eq!(returned(&first), Some(&b"no such key"[..]));
        let replayed = again(&component, first.signatures.clone().unwrap()).await;
        assert_eq!((returned(&replayed), replayed.usage.fuel), (returned(&first), first.usage.fuel));
        assert_eq!(returned(&run(&component, None).await), Some(&b"nobody signs here"[..]));
        let ours = Some(Fault::new(Code::StoreUnavailable, "the store does not answer"));
        let ended = run(&component, Some(Signing { refuses: ours, ..Signing::default() })).await;
        assert_eq!(fault(&ended).code, Code::StoreUnavailable, "what fails on our side ends the invocation");
    }
}

#[tokio::test]
async fn what_is_signed_and_kept_is_bounded() {
    let too_long = run(&signer(ED25519, 1, (1 << 20) + 1), Some(Signing::default())).await;
    assert!(String::from_utf8_lossy(returned(&too_long).unwrap()).contains("sign their digest"));
    assert!(too_long.signatures.unwrap().is_empty(), "nobody was asked");
    assert!(run(&signer(ED25519, 1, 1 << 20), Some(Signing::default())).await.result.is_ok());
    let most = u32::try_from(MAX_EXCHANGE_BYTES >> 20).unwrap();
    let large = || Some(Signing { bytes: 1 << 20, ..Signing::default() });
    assert!(run(&signer(ED25519, most, 1), large()).await.signatures.is_none());
    assert_eq!(run(&signer(ED25519, most - 1, 1), large()).await.signatures.unwrap().len(), most as usize - 1);
    // Fifty million units of fuel pay for eight signatures with RSA.
    let poor = run(&signer(RSA, 9, 1), Some(Signing { bytes: 3, ..Signing::default() })).await;
    assert_eq!(fault(&poor).code, Code::Fuel);
    assert!(run(&signer(RSA, 8, 1), Some(Signing { bytes: 3, ..Signing::default() })).await.result.is_ok());
}

#[tokio::test]
async fn a_component_from_before_signs_with_placeholders_as_well() {
    let items = format!(
        r#"(import "snaphook:hook/crypto@0.1.0" "hmac" (func $hmac (param i32 i32 i32 i32 i32 i32)))
      (data (i32.const 300) "sealed:ABCDEFGHIJKLMNOPQRSTUV")
      {JSON}"#
    );
    let call = "(call $hmac (i32.const 1) (i32.const 300) (i32.const 29) (i32.const 0) (i32.const 5000) (i32.const 400))";
    let gives = give("(i32.load (i32.const 400))", "(i32.load (i32.const 404))");
    let component = stepper(&["import crypto"], &items, &format!("{call} {gives}"));
    assert_eq!(returned(&run(&component, Some(Signing::default())).await), Some(&b"5000"[..]));
    let refuses = Some(Fault::new(Code::ScriptContract, "no such key"));
    let refused = run(&component, Some(Signing { refuses, ..Signing::default() })).await;
    assert_eq!((fault(&refused).code, fault(&refused).detail.as_str()), (Code::ScriptContract, "`crypto.hmac`: no such key"));
    // A key of its own is nobody else's matter.
    let own = stepper(&["import crypto"], &items.replace("sealed:A", "sealed A"), &format!("(drop (i32.const 0)) {call} {KEEP}"));
    let outcome = run(&own, None).await;
    assert!(outcome.result.is_ok() && outcome.signatures.unwrap().is_empty());
}
