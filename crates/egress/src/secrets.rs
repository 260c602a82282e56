//! What the rest of the node may do with secrets: have them sealed, and have them used. Callbacks, which may repeat some, are sealed and opened.

use jiff::Timestamp;
use snaphook_model::{CorrelationId, Fault, RunId, SealedSecret, SecretName, TenantName, TriggerRequest};
use zeroize::Zeroizing;

use crate::{Egress, signature};

/// Under what a callback is sealed. No secret's name has a slash, and no connection's label begins so. A run is called back by ids of its own, so
/// this is bound to the run as well.
#[must_use]
pub fn callback_label(id: &CorrelationId) -> String {
    format!("callbacks/{}", id.0)
}

impl Egress {
    /// What stands for a secret within one run: not to be guessed, and the same on every node that works on the run.
    #[must_use]
    pub fn placeholder(&self, tenant: &TenantName, run: RunId, label: &str) -> String {
        self.vault.placeholder(tenant, &run.to_string(), label)
    }

    /// Seals the text of a secret for the store. Who hands it in wipes it afterwards.
    ///
    /// # Errors
    /// `invalid` when the text is empty or too long.
    pub fn seal(&self, tenant: &TenantName, name: &SecretName, text: &str) -> Result<SealedSecret, Fault> {
        self.vault.seal(tenant, name, text)
    }

    /// Whether a secret can be the key of signatures.
    ///
    /// # Errors
    /// `signature` with what is wrong with it.
    pub fn check_signing_key(&self, tenant: &TenantName, name: &SecretName, sealed: &SealedSecret) -> Result<(), Fault> {
        signature::key_of(&self.vault.unseal(tenant, name, sealed)?).map(drop)
    }

    /// Whether a request was signed with a secret within the last and next five minutes, as Standard Webhooks has it.
    ///
    /// # Errors
    /// `signature` with what is missing or wrong.
    pub fn check_signature(
        &self,
        tenant: &TenantName,
        (name, sealed): (&SecretName, &SealedSecret),
        request: &TriggerRequest,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let key = signature::key_of(&self.vault.unseal(tenant, name, sealed)?)?;
        signature::check(&key, request, now)
    }

    /// Seals what an upstream called back with, of any length, for the store. It opens for this tenant and correlation id alone.
    ///
    /// # Errors
    /// `internal` when the system's random source does not work.
    pub fn seal_callback(&self, tenant: &TenantName, id: &CorrelationId, callback: &[u8]) -> Result<SealedSecret, Fault> {
        self.vault.seal_bytes(tenant, &callback_label(id), callback)
    }

    /// Opens what was sealed so.
    ///
    /// # Errors
    /// `internal` when it was sealed for another tenant or id, was changed, or is sealed under a key that this node does not have.
    pub fn open_callback(&self, tenant: &TenantName, id: &CorrelationId, sealed: &SealedSecret) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.vault.unseal_as(tenant, &callback_label(id), sealed)
    }
}
