//! How upstreams write a text that they repeat: as it is, as JSON of several writers has it, once and within a string of JSON, percent-encoded by
//! several alphabets, and any of these in base64.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::{Zeroize as _, Zeroizing};

/// Letters of base64 that a value must be recognised by: fewer stand in many a text by chance.
const SHORTEST_BASE64: usize = 8;

/// What RFC 3986 leaves as it is, what `encodeURIComponent` does, and what forms do (the URL standard).
const ALPHABETS: [&AsciiSet; 3] = [
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~'),
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*'),
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*'),
];

/// What a writer of JSON writes as `\u` and digits beside what every one must.
const JSON_WRITERS: [fn(char) -> bool; 4] = [|_| false, |c| !c.is_ascii(), |c| "<>&".contains(c), |c| !c.is_ascii() || "<>&'".contains(c)];

/// Texts, wiped when they are dropped.
pub(super) struct Spellings {
    all: BTreeSet<String>,
    /// Bytes that may still come.
    left: usize,
}

impl Spellings {
    fn within(most: usize) -> Self {
        Self { all: BTreeSet::new(), left: most }
    }

    /// Takes one more; none when they are longer together than they may be.
    fn add(&mut self, mut spelling: String) -> Option<()> {
        if self.all.contains(&spelling) {
            spelling.zeroize();
            return Some(());
        }
        let left = self.left.checked_sub(spelling.len());
        // Beyond the end as well it is wiped with the others.
        self.all.insert(spelling);
        self.left = left?;
        Some(())
    }

    /// The texts, for somebody else to wipe.
    pub(super) fn take(mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.all)
    }
}

impl Drop for Spellings {
    fn drop(&mut self) {
        std::mem::take(&mut self.all).into_iter().for_each(|mut spelling| spelling.zeroize());
    }
}

/// A text in every spelling that is looked for; none when they are longer than so many bytes together.
pub(super) fn of(text: &str, most: usize) -> Option<Spellings> {
    let mut plain = Spellings::within(most);
    plain.add(text.to_owned())?;
    if !text.bytes().all(is_plain) {
        add_escaped(&mut plain, text)?;
    }
    let mut all = Spellings::within(plain.left);
    for spelling in &plain.all {
        for core in base64(spelling) {
            all.add(core)?;
        }
    }
    all.all.append(&mut plain.all);
    Some(all)
}

/// Whether every writer leaves a byte as it is. Most tokens have no other.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Adds a text as those write it who do not leave it as it is.
fn add_escaped(plain: &mut Spellings, text: &str) -> Option<()> {
    for alphabet in ALPHABETS {
        let percent = utf8_percent_encode(text, alphabet).to_string();
        for percent in [percent.replace("%20", "+"), percent] {
            plain.add(small_digits(&percent, "%", 2))?;
            plain.add(percent)?;
        }
    }
    for writer in JSON_WRITERS {
        let json = json(text, writer);
        let twice = self::json(&json, |_| false);
        for json in [json.replace('/', "\\/"), twice.replace('/', "\\/"), twice, json] {
            plain.add(small_digits(&json, "\\u", 4))?;
            plain.add(json)?;
        }
    }
    Some(())
}

/// A text in base64 as it stands within a longer one: it begins at any of three places of a group, and the letters at its edges depend on its
/// neighbours.
fn base64(text: &str) -> Vec<String> {
    let mut cores = Vec::new();
    for before in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let shifted = Zeroizing::new(engine.encode(&*Zeroizing::new([&vec![0; before][..], text.as_bytes()].concat())));
            let (from, to) = ((before * 8).div_ceil(6), (before + text.len()) * 8 / 6);
            cores.extend(shifted.get(from..to).filter(|core| core.len() >= SHORTEST_BASE64).map(str::to_owned));
        }
    }
    cores
}

/// A text as it stands between the quotes of a JSON string, of a writer that escapes more than it must.
fn json(text: &str, escapes: fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            out.push(letter);
        } else if escapes(letter) {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                // A String takes every text.
                let _ = write!(out, "\\u{unit:04X}");
            }
        } else if !letter.is_ascii_control() && !matches!(letter, '"' | '\\') {
            out.push(letter);
        } else {
            let quoted = serde_json::Value::from(letter.to_string()).to_string();
            out.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    out
}

/// The same with small hexadecimal digits behind each mark.
fn small_digits(text: &str, mark: &str, digits: usize) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(mark);
        let end = part.floor_char_boundary(digits);
        out.push_str(&part[..end].to_ascii_lowercase());
        out.push_str(&part[end..]);
    }
    out
}
