//! What is sealed, where it opens, and how one key takes another's place.

use snaphook_model::CorrelationId;

use super::*;

fn names(tenant: &str, name: &str) -> (TenantName, SecretName) {
    (TenantName::new(tenant).unwrap(), SecretName::new(name).unwrap())
}

#[test]
fn what_is_sealed_opens_at_its_own_place_only() {
    let vault = Vault::ephemeral().unwrap();
    let (acme, key) = names("acme", "KEY");
    let sealed = vault.seal(&acme, &key, "whsec_text").unwrap();
    assert_eq!(&**vault.unseal(&acme, &key, &sealed).unwrap(), b"whsec_text");
    assert!(!sealed.0.windows(4).any(|part| part == b"text"));
    assert_ne!(vault.seal(&acme, &key, "whsec_text").unwrap(), sealed, "a nonce is used once");
    for (tenant, name) in [names("other", "KEY"), names("acme", "KEY2")] {
        assert_eq!(vault.unseal(&tenant, &name, &sealed).unwrap_err().code, Code::Internal);
    }
    assert!(Vault::ephemeral().unwrap().unseal(&acme, &key, &sealed).is_err());
    for at in 0..sealed.0.len() {
        let mut changed = sealed.0.to_vec();
        changed[at] ^= 1;
        assert!(vault.unseal(&acme, &key, &SealedSecret(changed.into())).is_err(), "byte {at}");
        assert!(vault.unseal(&acme, &key, &SealedSecret(sealed.0.slice(..at))).is_err(), "{at} bytes");
    }
}

#[test]
fn a_callback_opens_for_its_own_run_only() {
    let vault = Arc::new(Vault::ephemeral().unwrap());
    let egress = crate::Egress::new(crate::EgressConfig { vault: Some(vault.clone()), ..crate::EgressConfig::default() }).unwrap();
    let (acme, name) = names("acme", "KEY");
    let [one, two] = ["one", "two"].map(|id| CorrelationId(id.to_owned()));
    let long = b"what was sent, again".repeat(MAX_SECRET_BYTES);
    for callback in [&b""[..], &b"text"[..], &long[..]] {
        let sealed = egress.seal_callback(&acme, &one, callback).unwrap();
        assert_eq!(&**egress.open_callback(&acme, &one, &sealed).unwrap(), callback);
        let begins = &callback[..callback.len().min(12)];
        assert!(begins.is_empty() || !sealed.0.windows(begins.len()).any(|part| part == begins));
        assert_eq!(egress.open_callback(&acme, &two, &sealed).unwrap_err().code, Code::Internal);
        assert!(egress.open_callback(&names("other", "KEY").0, &one, &sealed).is_err());
        assert!(vault.unseal(&acme, &name, &sealed).is_err(), "it is no secret");
    }
    // Nor is a secret, or a connection's, what somebody called back with.
    let secret = vault.seal_as(&acme, "one", "text").unwrap();
    assert!(egress.open_callback(&acme, &one, &secret).is_err());
    let new = Vault::ephemeral().unwrap();
    let sealed = egress.seal_callback(&acme, &one, b"text").unwrap();
    vault.learn(&vault.handover(&new).unwrap()).unwrap();
    let resealed = vault.reseal(&acme, &crate::callback_label(&one), &sealed).unwrap().unwrap();
    let alone = crate::Egress::new(crate::EgressConfig { vault: Some(Arc::new(new)), ..crate::EgressConfig::default() }).unwrap();
    assert_eq!(&**alone.open_callback(&acme, &one, &resealed).unwrap(), b"text");
    assert!(alone.open_callback(&acme, &one, &sealed).is_err());
}

#[test]
fn a_secret_has_a_size() {
    let vault = Vault::ephemeral().unwrap();
    let (acme, key) = names("acme", "KEY");
    assert_eq!(vault.seal(&acme, &key, "").unwrap_err().code, Code::Invalid);
    assert!(vault.seal(&acme, &key, &"x".repeat(MAX_SECRET_BYTES)).is_ok());
    assert_eq!(vault.seal(&acme, &key, &"x".repeat(MAX_SECRET_BYTES + 1)).unwrap_err().code, Code::Invalid);
}

#[test]
fn the_key_is_kept_for_the_owner_alone() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("secrets.key");
    let (acme, key) = names("acme", "KEY");
    let first = Vault::open(&path).unwrap();
    let sealed = first.seal(&acme, &key, "text").unwrap();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let again = Vault::open(&path).unwrap();
    assert_eq!(mode(), 0o600, "opening takes the file back");
    assert_eq!((again.key_id(), again.key_id().len()), (first.key_id(), 16));
    assert_eq!(&**again.unseal(&acme, &key, &sealed).unwrap(), b"text");
    let given = Vault::of_text(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(&**given.unseal(&acme, &key, &sealed).unwrap(), b"text");
    assert!(matches!(Vault::of_text("abc"), Err(VaultError::NoKeyText)));
    assert!(!fs::read_to_string(&path).unwrap().contains(&first.key_id()));
    assert!(!format!("{first:?}").contains(fs::read_to_string(&path).unwrap().trim()));
    for broken in ["", "00", &"x".repeat(64), &"0".repeat(65)] {
        fs::write(&path, broken).unwrap();
        assert!(matches!(Vault::open(&path), Err(VaultError::NoKey(_))), "{broken}");
    }
}

#[test]
fn one_key_takes_anothers_place() {
    let (acme, name) = names("acme", "KEY");
    let (old, new, third) = (Vault::ephemeral().unwrap(), Vault::ephemeral().unwrap(), Vault::ephemeral().unwrap());
    let sealed = old.seal(&acme, &name, "text").unwrap();
    let placeholder = old.placeholder(&acme, "run", "KEY");
    let handover = old.handover(&new).unwrap();
    assert_eq!(Vault::handed_over(&handover).unwrap(), (old.key_id(), new.key_id()));
    assert!(matches!(third.learn(&handover), Err(VaultError::Handover)));
    for _ in 0..2 {
        old.learn(&handover).unwrap();
        new.learn(&handover).unwrap();
    }
    new.learn_placeholders(&old.placeholders().unwrap()).unwrap();
    assert_eq!(new.placeholder(&acme, "run", "KEY"), placeholder);
    assert!(third.learn_placeholders(&old.placeholders().unwrap()).is_err());
    assert_eq!(&**new.unseal(&acme, &name, &sealed).unwrap(), b"text");
    let resealed = old.reseal(&acme, "KEY", &sealed).unwrap().unwrap();
    assert_eq!(old.reseal(&acme, "KEY", &resealed).unwrap(), None, "that is done");
    assert_eq!(&**old.unseal(&acme, &name, &resealed).unwrap(), b"text");
    // Both seal under the new one, which needs nothing of the old one any more.
    let later = [old.seal(&acme, &name, "later").unwrap(), new.seal(&acme, &name, "later").unwrap(), resealed];
    let alone = Vault::of_text(&hex(&new.own.bytes[..])).unwrap();
    assert!(later.iter().all(|sealed| alone.unseal(&acme, &name, sealed).is_ok()));
    assert!(alone.unseal(&acme, &name, &sealed).is_err());
    assert!(alone.unseal(&names("other", "KEY").0, &name, &later[0]).is_err());
    let texts = [handover, old.placeholders().unwrap()].concat();
    assert!(!texts.contains(&hex(&old.own.bytes[..])) && !texts.contains(&hex(&new.own.bytes[..])));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
