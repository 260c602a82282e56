//! Signatures that others make for a guest: under keys that it knows by a placeholder only, and with private keys.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use snaphook_model::{Blame, Fault, SignatureScheme, Signed};

use crate::data::Stop;
use crate::host::http::MAX_EXCHANGE_BYTES;

/// A signature on its way.
pub type SignFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, Fault>> + Send>>;

/// Signs for guests. Which secrets a guest may use is the implementation's to decide.
pub trait GuestKeys: Send + Sync {
    /// Begins an HMAC under a key that holds placeholders.
    ///
    /// # Errors
    /// Where blame is the platform's, the invocation ends; else the guest is told the fault's sentence.
    fn mac(&self, scheme: SignatureScheme, key: &[u8]) -> Result<Box<dyn GuestMac>, Fault>;

    /// Signs with a private key, which is a placeholder or the guest's own. The future is dropped when the invocation ends before it. It
    /// ends as [`GuestKeys::mac`] does.
    fn sign(&self, scheme: SignatureScheme, key: Vec<u8>, data: Bytes) -> SignFuture;
}

/// An HMAC under way.
pub trait GuestMac: Send {
    /// Takes more data.
    fn update(&mut self, data: &[u8]);
    /// The HMAC of all data.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// Who signs.
pub(crate) enum KeySource {
    Nobody,
    Live(Arc<dyn GuestKeys>),
    /// An earlier run of the same invocation; nobody is asked.
    Recorded(Vec<Signed>),
}

/// The signatures of one invocation.
pub(crate) struct Keys {
    source: KeySource,
    /// Those that were made; nothing once they were too many.
    signed: Option<Vec<Signed>>,
    /// Bytes of what was kept of them.
    kept: usize,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) scheme: SignatureScheme,
    /// Of key and data.
    pub(crate) hash: blake3::Hash,
}

/// The signature, or what the guest is told instead.
pub(crate) type Answer = Result<Vec<u8>, String>;

const NOBODY: &str = "nobody signs here";
/// What is kept beside the answer.
const SIGNED_BYTES: usize = 64;

impl Keys {
    pub(crate) const fn new(source: KeySource) -> Self {
        Self { source, signed: Some(Vec::new()), kept: 0 }
    }

    /// What was signed, in the order of asking; nothing when it was more than [`MAX_EXCHANGE_BYTES`].
    pub(crate) fn into_signatures(self) -> Option<Vec<Signed>> {
        self.signed
    }

    /// Begins an HMAC; in a replay there is none to begin.
    pub(crate) fn mac(&self, scheme: SignatureScheme, key: &[u8]) -> Result<Result<Option<Box<dyn GuestMac>>, String>, Stop> {
        match &self.source {
            KeySource::Nobody => Ok(Err(NOBODY.to_owned())),
            KeySource::Live(keys) => told(keys.mac(scheme, key)).map(|answer| answer.map(Some)),
            KeySource::Recorded(_) => Ok(Ok(None)),
        }
    }

    /// Begins a signature; in a replay there is none to begin.
    pub(crate) fn sign(&self, scheme: SignatureScheme, key: Vec<u8>, data: Bytes) -> Option<SignFuture> {
        match &self.source {
            KeySource::Nobody => Some(Box::pin(async { Err(Fault::new(snaphook_model::Code::ScriptContract, NOBODY)) })),
            KeySource::Live(keys) => Some(keys.sign(scheme, key, data)),
            KeySource::Recorded(_) => None,
        }
    }

    /// Keeps what the guest is told. `made` is absent in a replay, which tells what was told then.
    pub(crate) fn settle(&mut self, asked: Asked, made: Option<Answer>) -> Result<Answer, Stop> {
        let answer = match (made, &mut self.source) {
            (Some(made), _) => made,
            (None, KeySource::Recorded(recorded)) => {
                // Two signatures of the same differ where chance is in them: each is told once, in their order.
                let same = |signed: &Signed| signed.scheme == asked.scheme && signed.asked == *asked.hash.as_bytes();
                let at = recorded.iter().position(same).ok_or_else(diverged)?;
                recorded.remove(at).answer
            }
            (None, _) => return Err(diverged()),
        };
        self.kept = self.kept.saturating_add(SIGNED_BYTES + answer.as_ref().map_or_else(String::len, Vec::len));
        if self.kept > MAX_EXCHANGE_BYTES {
            self.signed = None;
        }
        if let Some(signed) = &mut self.signed {
            signed.push(Signed { scheme: asked.scheme, asked: *asked.hash.as_bytes(), answer: answer.clone() });
        }
        Ok(answer)
    }
}

/// What went wrong on our side ends the invocation; the rest is for the guest to hear.
pub(crate) fn told<T>(made: Result<T, Fault>) -> Result<Result<T, String>, Stop> {
    match made {
        Err(fault) if fault.blame() == Blame::Platform => Err(Stop::Ours(fault)),
        other => Ok(other.map_err(|fault| fault.detail)),
    }
}

/// A signature of something else would be an invention.
fn diverged() -> Stop {
    Stop::Diverged(
        "nothing was signed: a replay has the signatures of the recorded invocation, which asked for no such one there".to_owned(),
    )
}
