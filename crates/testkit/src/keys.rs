//! Keys that tests sign with. They open nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An RSA key of 2048 bits in PKCS#8; made once, since making one takes seconds.
pub const RSA_PEM: &str = include_str!("rsa.pem");
/// What stands before the PKCS#1 in the PKCS#8 of such a key.
const PKCS8_HEAD_BYTES: usize = 26;

/// The same in PKCS#1, as DER.
///
/// # Panics
/// Never: the key is above.
#[must_use]
pub fn rsa_pkcs1() -> Vec<u8> {
    let letters: String = RSA_PEM.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(letters).expect("it is PEM")[PKCS8_HEAD_BYTES..].to_vec()
}

/// A private key as PEM with lines of this width, which end as on Windows.
///
/// # Panics
/// Never: base64 is text.
#[must_use]
pub fn pem(label: &str, der: &[u8], width: usize) -> String {
    let letters = STANDARD.encode(der);
    let lines: Vec<_> = letters.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).expect("letters")).collect();
    format!("-----BEGIN {label}-----\r\n{}\r\n-----END {label}-----\r\n", lines.join("\r\n"))
}
