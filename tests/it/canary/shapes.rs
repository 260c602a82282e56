//! Secrets of many shapes, and the search for them in every form that a text may have on its way.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

/// Secrets of shapes that real ones have, and of some that they should not have.
pub(crate) fn secrets() -> Vec<String> {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let odd = "ABab01+/=&%?#\"'\\<>{}$ ;:,.~!*()";
    let beyond = "ABab01+/&%\"'\\<> äß€é~!*()";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default() % below
    };
    let made = (0..36).map(|number| {
        let from: Vec<char> = [letters, odd, beyond][number % 3].chars().collect();
        let length = [8, 12, 16, 22, 32, 40, 64, 128, 200][number % 9];
        let text: String = (0..length).map(|_| from[next(from.len())]).collect();
        // Whatever chance makes of it, it ends in something to search for.
        format!("{}c4n4ry{number}", text.trim())
    });
    made.chain(["sk_live_c4n4ryA", "ghp_c4n4ryB/x+y", "eyJhbGciOiJub25lIn0.c4n4ryC.", "p@ss:w0rd c4n4ryD"].map(str::to_owned)).collect()
}

/// A secret in plain, percent-encoded, in base64 of both alphabets, and escaped as JSON and as a debug print have it.
fn forms(secret: &str) -> Vec<String> {
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = json!(secret).to_string();
    let twice = json!(json).to_string();
    let in_base64 = (0..3).flat_map(|before| {
        let longer = STANDARD_NO_PAD.encode([&vec![b'x'; before][..], secret.as_bytes()].concat());
        longer.get(4..longer.len() - 4).map(str::to_owned)
    });
    let mut forms: Vec<String> = in_base64.collect();
    forms.extend([
        secret.to_owned(),
        twice[3..twice.len() - 3].to_owned(),
        percent_encoding::utf8_percent_encode(secret, COMPONENT).to_string(),
        percent.replace('+', "%20"),
        percent,
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        json[1..json.len() - 1].to_owned(),
        format!("{secret:?}").trim_matches('"').to_owned(),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]);
    forms
}

/// What `encodeURIComponent` writes in percent.
const COMPONENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// Searches for all forms of all secrets at once.
pub(crate) struct Search {
    forms: Vec<String>,
    found: AhoCorasick,
}

impl Search {
    pub(crate) fn new(secrets: &[String]) -> Self {
        let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let found = AhoCorasick::new(&forms).expect("texts can be searched for");
        Self { forms, found }
    }

    /// Whether any of them stands there.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.found.is_match(text)
    }

    pub(crate) fn assert_clean(&self, place: &str, bytes: &[u8]) {
        if let Some(found) = self.found.find(bytes) {
            panic!("{place} holds `{}`", self.forms[found.pattern().as_usize()]);
        }
    }
}
