//! Signatures of requests that come in, as Standard Webhooks has them: HMAC-SHA256 over id, time and the bytes of the body.
//!
//! The crate `standardwebhooks` (1.0.1) is not what checks here, for what it does with what comes from outside: a body that is no UTF-8 is refused
//! before it is looked at, while the specification signs bytes; a time is subtracted as it is claimed, so that one far below zero overflows; of
//! headers given twice the first counts. It also takes the time from the machine's clock, which nothing here does but the clock that is handed
//! in, and leaves the key in memory. So the check is made here; the tests hold it against that crate, and its key, signature and window are its.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;
use snaphook_model::{Code, Fault, TriggerRequest};
use zeroize::Zeroizing;

const ID: &str = "webhook-id";
const TIME: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// Before the base64 of a key.
const PREFIX: &[u8] = b"whsec_";
/// The specification asks for 24; keys that others made shorter are still keys, down to what can be guessed.
const MIN_KEY_BYTES: usize = 16;
/// How far the sender's clock may be from ours, both ways.
const WINDOW_S: i64 = 300;
/// A sender that rotates its key signs with two.
const MAX_SIGNATURES: usize = 16;

/// The key in a secret's text.
pub(crate) fn key_of(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let encoded = text.trim_ascii();
    let encoded = encoded.strip_prefix(PREFIX).unwrap_or(encoded);
    let key = STANDARD.decode(encoded).map(Zeroizing::new).ok().filter(|key| key.len() >= MIN_KEY_BYTES);
    key.ok_or_else(|| Fault::new(Code::Signature, format!("it is no key: `whsec_` and the base64 of at least {MIN_KEY_BYTES} bytes")))
}

/// Refuses a request that was not signed with this key, or not now.
pub(crate) fn check(key: &[u8], request: &TriggerRequest, now: Timestamp) -> Result<(), Fault> {
    let (id, time, signatures) = (header(request, ID)?, header(request, TIME)?, header(request, SIGNATURE)?);
    // More digits than any time has are not even read.
    let sent = (1..=12).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit());
    let sent: i64 = time.parse().ok().filter(|_| sent).ok_or_else(|| refused(format!("`{TIME}` is not a time in seconds since 1970")))?;
    if (now.as_second() - sent).abs() > WINDOW_S {
        return Err(refused(format!("`{TIME}` is more than {WINDOW_S} s away from now")));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Fault::new(Code::Internal, "internal error"))?;
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", &request.body[..]] {
        mac.update(part);
    }
    let given = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,")).take(MAX_SIGNATURES);
    let mut decoded = given.filter_map(|text| STANDARD.decode(text).ok());
    // Compared in constant time, and only when it has the whole length.
    if decoded.any(|signature| mac.clone().verify_slice(&signature).is_ok()) {
        return Ok(());
    }
    Err(refused(format!("no `v1` signature in `{SIGNATURE}` fits the body")))
}

fn header<'r>(request: &'r TriggerRequest, name: &str) -> Result<&'r str, Fault> {
    let mut values = request.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (Some(_), Some(_)) => Err(refused(format!("`{name}` is given more than once"))),
        _ => Err(refused(format!("the header `{name}` is missing"))),
    }
}

fn refused(detail: String) -> Fault {
    Fault::new(Code::Signature, detail)
}

#[cfg(test)]
mod tests;
