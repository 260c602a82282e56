//! Secrets between the store, which keeps them sealed, and egress, which alone opens them. No text of a secret comes back here.

use snaphook_model::{Author, Code, Fault, SecretName, TenantName, TriggerRequest};
use snaphook_store::Change;

use crate::record::store_fault;
use crate::runner::Runner;

impl Runner {
    /// Seals the text of a secret and stores it. Who hands the text in wipes it afterwards.
    ///
    /// # Errors
    /// `invalid` when the text is empty or too long, `store-unavailable` when the store does not answer.
    pub async fn put_secret(&self, author: &Author, tenant: &TenantName, name: &SecretName, text: &str) -> Result<Change, Fault> {
        let parts = &self.inner.parts;
        let sealed = parts.egress.seal(tenant, name, text)?;
        parts.store.by(author).put_secret(tenant, name, &sealed, author.at).await.map_err(store_fault)
    }

    /// Whether a secret exists and can be the key of signatures.
    ///
    /// # Errors
    /// `invalid` with what is wrong, `store-unavailable` when the store does not answer.
    pub async fn check_signing_key(&self, tenant: &TenantName, name: &SecretName) -> Result<(), Fault> {
        let parts = &self.inner.parts;
        let sealed = parts.store.secret(tenant, name).await.map_err(store_fault)?;
        let sealed = sealed.ok_or_else(|| Fault::new(Code::Invalid, format!("there is no secret `{name}`")))?;
        parts.egress.check_signing_key(tenant, name, &sealed).map_err(|fault| match fault.code {
            Code::Signature => Fault::new(Code::Invalid, format!("the secret `{name}` cannot sign: {}", fault.detail)),
            _ => fault,
        })
    }

    /// Whether a request was signed with a secret within the last and next five minutes, as Standard Webhooks has it.
    ///
    /// # Errors
    /// `signature` with what is missing or wrong, `store-unavailable` when the store does not answer.
    pub async fn check_signature(&self, tenant: &TenantName, name: &SecretName, request: &TriggerRequest) -> Result<(), Fault> {
        let parts = &self.inner.parts;
        let sealed = parts.store.secret(tenant, name).await.map_err(store_fault)?;
        // It was there when the flow was stored, and may have been deleted since.
        let sealed = sealed.ok_or_else(|| Fault::new(Code::Signature, format!("the flow's secret `{name}` does not exist any more")))?;
        parts.egress.check_signature(tenant, (name, &sealed), request, parts.clock.now())
    }
}
