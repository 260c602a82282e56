//! Private keys as people have them, and what they sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use snaphook_model::{Code, Fault, SignatureScheme};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
/// How a key in DER begins: it is a sequence.
const SEQUENCE: u8 = 0x30;

/// Signs with a key in PEM or DER. No sentence says anything of the key but `name`.
pub(super) fn sign(scheme: SignatureScheme, key: &[u8], name: &str, data: &[u8]) -> Result<Vec<u8>, Fault> {
    let der = der(key, name)?;
    let chance = SystemRandom::new();
    let rsa: &dyn RsaEncoding = match scheme {
        SignatureScheme::RsaPkcs1Sha256 => &signature::RSA_PKCS1_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => &signature::RSA_PKCS1_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => &signature::RSA_PKCS1_SHA512,
        SignatureScheme::RsaPssSha256 => &signature::RSA_PSS_SHA256,
        SignatureScheme::RsaPssSha384 => &signature::RSA_PSS_SHA384,
        SignatureScheme::RsaPssSha512 => &signature::RSA_PSS_SHA512,
        SignatureScheme::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| another(name, "an Ed25519 key in PKCS#8"))?;
            return Ok(pair.sign(data).as_ref().to_vec());
        }
        SignatureScheme::EcdsaP256Sha256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &der, &chance);
            let pair = pair.map_err(|_| another(name, "a P-256 key in PKCS#8, with its public key"))?;
            return pair.sign(&chance, data).map(|signature| signature.as_ref().to_vec()).map_err(|_| failed());
        }
        SignatureScheme::HmacSha1 | SignatureScheme::HmacSha256 | SignatureScheme::HmacSha384 | SignatureScheme::HmacSha512 => {
            return Err(failed());
        }
    };
    let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
    let pair = pair.map_err(|_| another(name, "an RSA key of 2048 to 4096 bits in PKCS#8 or PKCS#1"))?;
    let mut signed = vec![0; pair.public().modulus_len()];
    pair.sign(rsa, &chance, data, &mut signed).map_err(|_| failed())?;
    Ok(signed)
}

/// The DER in a PEM, or what is DER already.
fn der(key: &[u8], name: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if key.first() == Some(&SEQUENCE) {
        return Ok(Zeroizing::new(key.to_vec()));
    }
    let none = || refused(name, "is no private key: PEM that begins with `-----BEGIN PRIVATE KEY-----`, or DER, belongs there");
    let text = std::str::from_utf8(key).map_err(|_| none())?;
    let (label, rest) = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(DASHES)).ok_or_else(none)?;
    match label {
        "PRIVATE KEY" | "RSA PRIVATE KEY" => {}
        "EC PRIVATE KEY" => return Err(refused(name, "is in SEC 1; `openssl pkcs8 -topk8 -nocrypt -in KEY` makes it PKCS#8")),
        "ENCRYPTED PRIVATE KEY" => return Err(encrypted(name)),
        _ => return Err(refused(name, "is PEM of something else than a private key")),
    }
    let body = rest.split_once(DASHES).ok_or_else(none)?.0;
    if body.contains("ENCRYPTED") {
        return Err(encrypted(name));
    }
    // Lines of any length: what people paste was wrapped by many hands.
    let mut letters = Zeroizing::new(Vec::with_capacity(body.len()));
    letters.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(letters.len())]);
    let length = STANDARD.decode_slice(&*letters, &mut der).map_err(|_| refused(name, "is PEM whose base64 is damaged"))?;
    der.truncate(length);
    Ok(der)
}

fn encrypted(name: &str) -> Fault {
    refused(name, "is locked by a passphrase; `openssl pkcs8 -topk8 -nocrypt -in KEY` makes one without")
}

fn another(name: &str, wanted: &str) -> Fault {
    refused(name, &format!("is another key than the signature takes, which is {wanted}"))
}

fn refused(name: &str, why: &str) -> Fault {
    Fault::new(Code::ScriptContract, format!("{name} {why}"))
}

/// The library refuses what it took before: no chance, or a key that does not fit itself.
fn failed() -> Fault {
    tracing::error!("a signature could not be made");
    Fault::new(Code::Internal, "internal error")
}
