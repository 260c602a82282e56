//! What the rest of the node may do with secrets: have them sealed, and have them used.

use jiff::Timestamp;
use snaphook_model::{Fault, SealedSecret, SecretName, TenantName, TriggerRequest};

use crate::{Egress, signature};

impl Egress {
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
