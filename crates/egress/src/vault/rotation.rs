//! One key takes another's place. While it does, each of the two lies in the database sealed under the other, so that a node that has one of them
//! opens everything; once all is sealed anew, they are taken away from there, and the old key opens nothing any more.

use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use snaphook_model::{Fault, SealedSecret, TenantName};
use zeroize::Zeroizing;

use super::{KEY_BYTES, Key, Other, Vault, VaultError, key_id_of, place};

/// What the two keys are bound to under each other; no tenant's place begins with a line break.
const FORWARD: &[u8] = b"\nnew key";
const BACK: &[u8] = b"\nold key";
/// What the key of placeholders is bound to.
const DERIVED: &[u8] = b"\nplaceholders";

/// Both keys, each sealed under the other.
#[derive(Serialize, Deserialize)]
struct Handover {
    from: String,
    to: String,
    /// The new one under the old one.
    forward: String,
    /// The old one under the new one.
    back: String,
}

impl Vault {
    /// What is put into the database so that nodes with this key, and nodes with the new one, open what is sealed under either.
    ///
    /// # Errors
    /// `internal` when the system's random source does not work.
    pub fn handover(&self, new: &Self) -> Result<String, Fault> {
        let forward = STANDARD.encode(&self.own.seal(FORWARD, &new.own.bytes[..])?.0);
        let back = STANDARD.encode(&new.own.seal(BACK, &self.own.bytes[..])?.0);
        let handover = Handover { from: self.key_id(), to: new.key_id(), forward, back };
        Ok(serde_json::to_string(&handover).unwrap_or_default())
    }

    /// The ids of the keys in such a text: the old one's and the new one's.
    ///
    /// # Errors
    /// When it is no such text.
    pub fn handed_over(handover: &str) -> Result<(String, String), VaultError> {
        let Handover { from, to, .. } = serde_json::from_str(handover).map_err(|_| VaultError::Handover)?;
        Ok((from, to))
    }

    /// Takes the other key out of such a text. From then on the new one seals, whichever of the two this node was given. To do so again changes nothing.
    ///
    /// # Errors
    /// When this vault's key is neither of the two.
    pub fn learn(&self, handover: &str) -> Result<(), VaultError> {
        let Handover { from, to, forward, back } = serde_json::from_str(handover).map_err(|_| VaultError::Handover)?;
        let own = self.key_id();
        let (place, sealed, other, seals) = if own == from {
            (FORWARD, forward, to, true)
        } else if own == to {
            (BACK, back, from, false)
        } else {
            return Err(VaultError::Handover);
        };
        let known = |other_key: &Other| other_key.key.id_text() == other && other_key.seals == seals;
        if self.other.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(known) {
            return Ok(());
        }
        let sealed = STANDARD.decode(sealed).map_err(|_| VaultError::Handover)?;
        let opened = self.own.open(place, &SealedSecret(sealed.into())).map_err(|_| VaultError::Handover)?;
        let bytes: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(opened[..].try_into().map_err(|_| VaultError::Handover)?);
        let key = Arc::new(Key::new(&bytes));
        *self.other.write().unwrap_or_else(PoisonError::into_inner) = Some(Other { key, seals });
        Ok(())
    }

    /// Whether what is sealed under the key with this id opens here.
    #[must_use]
    pub fn opens(&self, key_id: &str) -> bool {
        let other = self.other.read().unwrap_or_else(PoisonError::into_inner);
        key_id == self.key_id() || other.as_ref().is_some_and(|other| other.key.id_text() == key_id)
    }

    /// What placeholders follow from, sealed under the key that seals now: a run that waits while the key changes keeps its placeholders.
    ///
    /// # Errors
    /// `internal` when the system's random source does not work.
    pub fn placeholders(&self) -> Result<String, Fault> {
        let derived = self.derived.read().unwrap_or_else(PoisonError::into_inner);
        Ok(STANDARD.encode(&self.sealing().seal(DERIVED, &derived[..])?.0))
    }

    /// Takes what placeholders follow from out of such a text.
    ///
    /// # Errors
    /// When it does not open under this vault's keys.
    pub fn learn_placeholders(&self, sealed: &str) -> Result<(), VaultError> {
        let sealed = SealedSecret(STANDARD.decode(sealed).map_err(|_| VaultError::Handover)?.into());
        let key = key_id_of(&sealed).ok().and_then(|id| self.key(id)).ok_or(VaultError::Handover)?;
        let opened = key.open(DERIVED, &sealed).map_err(|_| VaultError::Handover)?;
        let derived = Zeroizing::new(opened[..].try_into().map_err(|_| VaultError::Handover)?);
        *self.derived.write().unwrap_or_else(PoisonError::into_inner) = derived;
        Ok(())
    }

    /// The same text under the key that seals now; none where it is sealed under that already.
    ///
    /// # Errors
    /// `internal` when it does not open.
    pub fn reseal(&self, tenant: &TenantName, label: &str, sealed: &SealedSecret) -> Result<Option<SealedSecret>, Fault> {
        let key = self.sealing();
        if key_id_of(sealed)? == key.id {
            return Ok(None);
        }
        let text = self.unseal_as(tenant, label, sealed)?;
        key.seal(&place(tenant, label), &text).map(Some)
    }
}
