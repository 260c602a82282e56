//! Signatures for scripts: with the keys that their call or step may use. No key's text comes here; egress signs.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use snaphook_egress::{Mac, Secrets};
use snaphook_model::{Code, Fault, SignatureScheme, Tenant, find_placeholder};
use snaphook_sandbox::{GuestKeys, GuestMac, SignFuture};

use crate::connections::CallSecrets;
use crate::runner::Inner;

/// The keys of one invocation.
pub(crate) struct RunKeys {
    inner: Arc<Inner>,
    tenant: Arc<Tenant>,
    secrets: Option<CallSecrets>,
    /// For egress; made when something is first signed.
    sealed: OnceLock<Arc<Secrets>>,
    /// A script is tried out.
    test: bool,
}

impl RunKeys {
    /// What a call or a step may sign with.
    pub(crate) fn of(inner: &Arc<Inner>, tenant: &Arc<Tenant>, secrets: Option<&CallSecrets>) -> Arc<dyn GuestKeys> {
        Arc::new(Self { inner: inner.clone(), tenant: tenant.clone(), secrets: secrets.cloned(), sealed: OnceLock::new(), test: false })
    }

    /// No secrets.
    pub(crate) fn of_test(inner: &Arc<Inner>, tenant: &Arc<Tenant>) -> Arc<dyn GuestKeys> {
        Arc::new(Self { inner: inner.clone(), tenant: tenant.clone(), secrets: None, sealed: OnceLock::new(), test: true })
    }

    fn sealed(&self, key: &[u8]) -> Result<&Arc<Secrets>, Fault> {
        if self.test && find_placeholder(key).is_some() {
            let detail = "the key is a placeholder, and a test run has no secrets: give a sample key as a field of `connection`";
            return Err(Fault::new(Code::ScriptContract, detail));
        }
        let make = |secrets: &CallSecrets| secrets.sealed(&self.inner, &self.tenant.name);
        Ok(self.sealed.get_or_init(|| Arc::new(self.secrets.as_ref().map(make).unwrap_or_default())))
    }
}

impl GuestKeys for RunKeys {
    fn mac(&self, scheme: SignatureScheme, key: &[u8]) -> Result<Box<dyn GuestMac>, Fault> {
        let mac = self.inner.parts.egress.begin_mac(&self.tenant.name, self.sealed(key)?, scheme, key)?;
        Ok(Box::new(UnderWay(mac)))
    }

    fn sign(&self, scheme: SignatureScheme, key: Vec<u8>, data: Bytes) -> SignFuture {
        let sealed = self.sealed(&key).cloned();
        let (inner, tenant) = (self.inner.clone(), self.tenant.clone());
        Box::pin(async move { inner.parts.egress.sign(&tenant.name, &*sealed?, scheme, &key, data).await })
    }
}

struct UnderWay(Mac);

impl GuestMac for UnderWay {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finish()
    }
}
