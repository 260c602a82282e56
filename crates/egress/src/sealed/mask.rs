//! Texts of secrets that an answer repeats become what stands for them again, however upstreams write a text that they repeat.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use snaphook_model::{Code, Fault, HttpResponse};
use zeroize::{Zeroize as _, Zeroizing};

use super::spellings;
use crate::room::Room;

/// Shorter values stand in many a text by chance, and whoever tries finds them anyway.
const SHORTEST: usize = 4;
/// Bytes of all texts together in all their spellings, of which a plain token has some five times its length. What finds them takes some twelve
/// times as much, and five times that while it is made.
const MOST_BYTES: usize = 1 << 20;
/// Texts of so many bytes together fit in all their spellings, whatever they are: some two dozen without base64, each at most six times as long, and
/// eight times as much in base64.
const ALWAYS_FIT_BYTES: usize = MOST_BYTES / (24 * 6 * 9);
/// States of the search that have a row for every byte: those where a text begins and those after its first byte. With one byte more there could be
/// tens of thousands.
const ROWS_TO_DEPTH: usize = 2;

/// A text, and what is shown in its place.
pub(crate) type Sought<'a> = (Zeroizing<String>, &'a str);

/// Finds texts of secrets. Made when there is something to look through and gone afterwards: no more of them are there at once than processors.
pub(crate) struct Mask<'a> {
    /// None where there is nothing to find.
    found: Option<AhoCorasick>,
    shown: Vec<&'a str>,
}

/// Texts in every spelling, each with what is shown in its place. Wiped when they are dropped.
struct Forms<'a> {
    of: BTreeMap<String, &'a str>,
    /// Bytes that may still come.
    left: usize,
}

impl<'a> Forms<'a> {
    fn of(pairs: &[Sought<'a>]) -> Result<Self, Fault> {
        let mut forms = Self { of: BTreeMap::new(), left: MOST_BYTES };
        // The steps of a run use the same ones again and again.
        let mut seen = BTreeSet::new();
        for (text, shown) in pairs.iter().filter(|(text, _)| text.len() >= SHORTEST) {
            if seen.insert(text.as_str()) {
                forms.add(text, shown).ok_or_else(too_long)?;
            }
        }
        Ok(forms)
    }

    /// Adds a text; none when there is no room for it.
    fn add(&mut self, text: &str, shown: &'a str) -> Option<()> {
        for mut spelling in spellings::of(text, self.left)?.take() {
            if self.of.contains_key(&spelling) {
                spelling.zeroize();
                continue;
            }
            self.left = self.left.saturating_sub(spelling.len());
            self.of.insert(spelling, shown);
        }
        Some(())
    }
}

impl Drop for Forms<'_> {
    fn drop(&mut self) {
        std::mem::take(&mut self.of).into_keys().for_each(|mut spelling| spelling.zeroize());
    }
}

fn too_long() -> Fault {
    let detail =
        format!("the secrets that one request uses take more than {MOST_BYTES} bytes together in all spellings that are looked for");
    Fault::new(Code::Invalid, detail)
}

impl<'a> Mask<'a> {
    /// Whether these texts can be searched for, to be known before one of them is sent.
    ///
    /// # Errors
    /// `invalid` when they are longer together than can be.
    pub(crate) fn check(pairs: &[Sought<'a>]) -> Result<(), Fault> {
        if pairs.iter().map(|(text, _)| text.len()).sum::<usize>() <= ALWAYS_FIT_BYTES {
            return Ok(());
        }
        Forms::of(pairs).map(drop)
    }

    /// Finds these texts in every spelling, and shows the other of each pair in their place.
    ///
    /// # Errors
    /// As [`Mask::check`], and `internal` when there is no search: without one, no answer may be passed on.
    pub(crate) fn new(pairs: &[Sought<'a>]) -> Result<Self, Fault> {
        let forms = Forms::of(pairs)?;
        if forms.of.is_empty() {
            return Ok(Self { found: None, shown: Vec::new() });
        }
        // The longest first, so that what encloses another value is replaced whole. By default it would have a row for every byte in every state
        // where there are few texts, which for a token of a kibibyte is twenty mebibytes.
        let mut search = AhoCorasick::builder();
        search.match_kind(MatchKind::LeftmostLongest).kind(Some(AhoCorasickKind::ContiguousNFA)).dense_depth(ROWS_TO_DEPTH);
        let found = search.build(forms.of.keys()).map_err(|error| {
            tracing::error!(%error, "secrets cannot be searched for");
            Fault::new(Code::Internal, "internal error")
        })?;
        Ok(Self { found: Some(found), shown: forms.of.values().copied().collect() })
    }

    /// Whether one of the texts stands there.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.found.as_ref().is_some_and(|found| found.is_match(text))
    }

    /// A text without them.
    pub(crate) fn text(&self, text: &str) -> String {
        self.found.as_ref().map_or_else(|| text.to_owned(), |found| found.replace_all(text, &self.shown))
    }

    /// Takes them out of an answer's headers and body.
    ///
    /// # Errors
    /// `response-size` when the body is longer than it may be with what stands in their place, `overloaded` when there is no room for it.
    pub(crate) fn response(&self, response: &mut HttpResponse, max_bytes: u64, mut room: Room) -> Result<(), Fault> {
        let Some(found) = &self.found else { return Ok(()) };
        for (_, value) in &mut response.headers.0 {
            if found.is_match(value.as_str()) {
                *value = found.replace_all(value, &self.shown);
            }
        }
        if !found.is_match(&response.body) {
            return Ok(());
        }
        // Counted before it is made: what stands for a short text may be many times as long.
        let more = found.find_iter(&response.body).map(|at| self.shown[at.pattern().as_usize()].len().saturating_sub(at.len()) as u64);
        let length = response.body.len() as u64 + more.sum::<u64>();
        if length > max_bytes {
            let detail = format!("the body is larger than {max_bytes} bytes where placeholders stand for the secrets that it repeats");
            return Err(Fault::new(Code::ResponseSize, detail).of_limit(max_bytes, Some(length)));
        }
        room.grow_to(length)?;
        let mut masked = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        found.replace_all_with_bytes(&response.body, &mut masked, |at, _, masked| {
            masked.extend_from_slice(self.shown[at.pattern().as_usize()].as_bytes());
            true
        });
        response.body = room.around(masked.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters of no pattern, always the same.
    fn letters(count: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(LETTERS[(state >> 58) as usize])
        };
        (0..count).map(|_| next()).collect()
    }

    fn mask(texts: &[String]) -> Result<Mask<'static>, Fault> {
        Mask::new(&texts.iter().map(|text| (Zeroizing::new(text.clone()), "[KEY]")).collect::<Vec<_>>())
    }

    #[test]
    fn what_finds_secrets_takes_bounded_memory() {
        let long: fn(usize) -> Vec<String> = |bytes| vec![letters(bytes)];
        // Each letter is written in another way by somebody.
        let odd: fn(usize) -> Vec<String> = |bytes| vec!["é</\"~! ".repeat(bytes / 8)];
        let short: fn(usize) -> Vec<String> =
            |bytes| letters(bytes).as_bytes().chunks(8).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        for make in [long, odd, short] {
            let mut bytes = 1 << 10;
            let mut largest = mask(&make(bytes)).unwrap();
            let fault = loop {
                bytes *= 2;
                match mask(&make(bytes)) {
                    Ok(larger) => largest = larger,
                    Err(fault) => break fault,
                }
            };
            assert_eq!(fault.code, Code::Invalid, "{fault}");
            assert!(!fault.detail.contains(&make(bytes)[0]));
            let taken = largest.found.as_ref().unwrap().memory_usage();
            assert!(taken > MOST_BYTES && taken < 16 * MOST_BYTES, "{taken} bytes for texts of {} bytes", bytes / 2);
            let text = make(bytes / 2).pop().unwrap();
            assert_eq!(largest.text(&format!("<{text}>")), "<[KEY]>");
        }
    }

    #[test]
    fn what_always_fits_does() {
        let text = "\u{1f600}\u{7}é</\"~! ";
        let all = text.repeat(ALWAYS_FIT_BYTES / text.len());
        assert!(Forms::of(&[(Zeroizing::new(all), "[KEY]")]).is_ok());
        assert!(Forms::of(&[(Zeroizing::new("\u{1}".repeat(ALWAYS_FIT_BYTES)), "[KEY]")]).is_ok());
    }

    #[test]
    fn a_usual_token_takes_little() {
        let taken = mask(&[letters(1 << 10)]).unwrap().found.unwrap().memory_usage();
        assert!(taken < 256 << 10, "{taken}");
    }
}
