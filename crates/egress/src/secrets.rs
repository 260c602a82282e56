//! What the rest of the node may do with secrets: have them sealed, and have them used.

use jiff::Timestamp;
use snaphook_model::{Fault, RunId, SealedSecret, SecretName, TenantName, TriggerRequest};

use crate::{Egress, signature};

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
}
