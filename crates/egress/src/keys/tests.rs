//! Every scheme, held against the library that checks; and what a key that is none is told.

use futures_util::FutureExt as _;
use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};
use snaphook_model::SealedSecret;
use snaphook_testkit::keys::{RSA_PEM, pem, rsa_pkcs1};

use super::*;
use crate::{EgressConfig, SealedValue};

const TEXT: &[u8] = b"what is signed";

/// A node's way out, and one secret of a tenant's.
fn sealed(text: &str) -> (Egress, TenantName, Secrets) {
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let tenant = TenantName::new("acme").unwrap();
    let placeholder = egress.vault.placeholder(&tenant, "run", "sign.private_key");
    let sealed: SealedSecret = egress.vault.seal_as(&tenant, "label", text).unwrap();
    let value =
        SealedValue { placeholder, name: "sign.private_key".to_owned(), label: "label".to_owned(), sealed, member: None, hosts: [].into() };
    (egress, tenant, Secrets { values: vec![value], ..Secrets::default() })
}

async fn sign(text: &str, scheme: SignatureScheme) -> Result<Vec<u8>, Fault> {
    let (egress, tenant, secrets) = sealed(text);
    egress.sign(&tenant, &secrets, scheme, secrets.values[0].placeholder.as_bytes(), Bytes::from_static(TEXT)).await
}

fn verified(algorithm: &'static dyn VerificationAlgorithm, public: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, public).verify(TEXT, signature).is_ok()
}

#[tokio::test]
async fn every_scheme_signs_as_others_check() {
    use ring::signature::KeyPair as _;
    let chance = ring::rand::SystemRandom::new();
    let curve = ring_signature::Ed25519KeyPair::generate_pkcs8(&chance).unwrap();
    let public = ring_signature::Ed25519KeyPair::from_pkcs8(curve.as_ref()).unwrap();
    let signed = sign(&pem("PRIVATE KEY", curve.as_ref(), 64), SignatureScheme::Ed25519).await.unwrap();
    assert!(verified(&ring_signature::ED25519, public.public_key().as_ref(), &signed));
    let algorithm = &ring_signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let curve = ring_signature::EcdsaKeyPair::generate_pkcs8(algorithm, &chance).unwrap();
    let public = ring_signature::EcdsaKeyPair::from_pkcs8(algorithm, curve.as_ref(), &chance).unwrap();
    let signed = sign(&pem("PRIVATE KEY", curve.as_ref(), 76), SignatureScheme::EcdsaP256Sha256).await.unwrap();
    assert!(verified(&ring_signature::ECDSA_P256_SHA256_FIXED, public.public_key().as_ref(), &signed));
    let der = &rsa_pkcs1();
    let public = ring_signature::RsaKeyPair::from_der(der).unwrap();
    let schemes: [(SignatureScheme, &'static dyn VerificationAlgorithm); 6] = [
        (SignatureScheme::RsaPkcs1Sha256, &ring_signature::RSA_PKCS1_2048_8192_SHA256),
        (SignatureScheme::RsaPkcs1Sha384, &ring_signature::RSA_PKCS1_2048_8192_SHA384),
        (SignatureScheme::RsaPkcs1Sha512, &ring_signature::RSA_PKCS1_2048_8192_SHA512),
        (SignatureScheme::RsaPssSha256, &ring_signature::RSA_PSS_2048_8192_SHA256),
        (SignatureScheme::RsaPssSha384, &ring_signature::RSA_PSS_2048_8192_SHA384),
        (SignatureScheme::RsaPssSha512, &ring_signature::RSA_PSS_2048_8192_SHA512),
    ];
    for (scheme, algorithm) in schemes {
        let signed = sign(&pem("RSA PRIVATE KEY", der, 64), scheme).await.unwrap();
        assert!(verified(algorithm, public.public_key().as_ref(), &signed), "{scheme:?}");
    }
}

#[tokio::test]
async fn a_key_in_der_may_be_the_guests_own() {
    let (egress, tenant, _) = sealed("x");
    let key = rsa_pkcs1();
    let scheme = SignatureScheme::RsaPkcs1Sha256;
    let signed = egress.sign(&tenant, &Secrets::default(), scheme, &key, Bytes::from_static(TEXT)).await.unwrap();
    assert_eq!(signed, sign(RSA_PEM, scheme).await.unwrap());
}

#[tokio::test]
async fn what_is_no_key_is_said_and_not_shown() {
    let der = rsa_pkcs1();
    let damaged = RSA_PEM.replacen('M', "*", 1);
    let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----";
    let cases = [
        ("correct horse battery staple", "is no private key"),
        (&*pem("CERTIFICATE", &der, 64), "something else"),
        (&*pem("EC PRIVATE KEY", b"\x30\x01", 64), "openssl pkcs8"),
        (&*pem("ENCRYPTED PRIVATE KEY", &der, 64), "passphrase"),
        (encrypted, "passphrase"),
        (&*damaged, "damaged"),
        (&*RSA_PEM[..600].to_owned(), "is no private key"),
        (&*pem("PRIVATE KEY", &der[..200], 64), "2048 to 4096 bits"),
    ];
    for (text, expected) in cases {
        let fault = sign(text, SignatureScheme::RsaPkcs1Sha256).await.unwrap_err();
        assert_eq!(fault.code, Code::ScriptContract);
        assert!(fault.detail.starts_with("`sign.private_key` ") && fault.detail.contains(expected), "{fault:?}");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 20);
        assert!(words.clone().all(|word| !fault.detail.contains(word)) && !fault.detail.contains("horse"), "{fault:?}");
    }
    let fault = sign(RSA_PEM, SignatureScheme::Ed25519).await.unwrap_err();
    assert!(fault.detail.contains("an Ed25519 key"), "{fault:?}");
}

#[tokio::test]
async fn a_placeholder_of_another_run_or_tenant_is_none() {
    let (egress, tenant, secrets) = sealed("k3y");
    let other = egress.vault.placeholder(&tenant, "other", "sign.private_key");
    for key in [&*other, &format!("{}{other}", secrets.values[0].placeholder)] {
        let fault = egress.begin_mac(&tenant, &secrets, SignatureScheme::HmacSha256, key.as_bytes()).unwrap_err();
        assert_eq!(fault.code, Code::ScriptContract);
        assert!(fault.detail.contains("names the connection"), "{fault:?}");
    }
    let own = secrets.values[0].placeholder.as_bytes();
    let theirs = TenantName::new("other").unwrap();
    assert!(egress.begin_mac(&theirs, &secrets, SignatureScheme::HmacSha256, own).is_err(), "the secret does not open there");
}

#[test]
fn texts_stand_in_the_key_wherever_placeholders_do() {
    let (egress, tenant, secrets) = sealed("k3y");
    let placeholder = &secrets.values[0].placeholder;
    let mac = |key: &str, scheme| {
        let mut mac = egress.begin_mac(&tenant, &secrets, scheme, key.as_bytes()).unwrap();
        TEXT.chunks(3).for_each(|chunk| mac.update(chunk));
        mac.finish()
    };
    use SignatureScheme::{HmacSha1, HmacSha256, HmacSha384, HmacSha512};
    for (scheme, bytes) in [(HmacSha1, 20), (HmacSha256, 32), (HmacSha384, 48), (HmacSha512, 64)] {
        assert_eq!(mac(placeholder, scheme), mac("k3y", scheme));
        assert_eq!(mac(placeholder, scheme).len(), bytes);
        assert_eq!(mac(&format!("AWS4{placeholder}&{placeholder}"), scheme), mac("AWS4k3y&k3y", scheme));
        assert_ne!(mac(placeholder, scheme), mac("k3z", scheme));
    }
}

#[tokio::test]
async fn a_private_key_is_not_put_together_around_a_secret() {
    let (egress, tenant, secrets) = sealed(RSA_PEM);
    let placeholder = secrets.values[0].placeholder.as_bytes();
    for key in [[b"0", placeholder].concat(), [placeholder, b"0"].concat(), [placeholder, placeholder].concat()] {
        let fault = egress.sign(&tenant, &secrets, SignatureScheme::RsaPkcs1Sha256, &key, Bytes::from_static(TEXT)).await.unwrap_err();
        assert!(fault.code == Code::ScriptContract && fault.detail.contains("nothing else"), "{fault}");
    }
}

#[tokio::test]
async fn a_queue_of_one_tenants_signatures_keeps_no_other_waiting() {
    let (egress, tenant, secrets) = sealed(RSA_PEM);
    let hog = TenantName::new("hog").unwrap();
    let holder = egress.signing.holder(&hog);
    let held: Vec<_> = std::iter::from_fn(|| egress.signing.try_take(holder, 1)).collect();
    assert!(!held.is_empty() && egress.signing.free() > 0);
    let (scheme, key, none) = (SignatureScheme::RsaPkcs1Sha256, rsa_pkcs1(), Secrets::default());
    let mut queue: Vec<_> = (0..100).map(|_| Box::pin(egress.sign(&hog, &none, scheme, &key, Bytes::from_static(TEXT)))).collect();
    assert!(queue.iter_mut().all(|signing| signing.now_or_never().is_none()));
    let placeholder = secrets.values[0].placeholder.as_bytes();
    let signed = egress.sign(&tenant, &secrets, scheme, placeholder, Bytes::from_static(TEXT)).await.unwrap();
    assert!(queue.iter_mut().all(|signing| signing.now_or_never().is_none()));
    // Who goes away leaves the queue, and the rest comes in turn.
    queue.truncate(10);
    drop(held);
    for signing in queue {
        assert_eq!(signing.await.unwrap(), signed);
    }
    assert_eq!(egress.signing.held(holder), 0);
}

#[test]
fn a_key_opens_few_secrets_and_is_no_longer_than_keys_are() {
    let mac = |text: &str, times: usize| {
        let (egress, tenant, secrets) = sealed(text);
        egress.begin_mac(&tenant, &secrets, SignatureScheme::HmacSha256, secrets.values[0].placeholder.repeat(times).as_bytes()).map(drop)
    };
    assert!(mac("k", MAX_PLACEHOLDERS).is_ok());
    for (text, times) in [("k".to_owned(), MAX_PLACEHOLDERS + 1), ("k".repeat(MAX_KEY_BYTES), 2)] {
        assert_eq!(mac(&text, times).unwrap_err().code, Code::ScriptContract);
    }
}
