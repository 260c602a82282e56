//! Texts of secrets that an answer repeats become what stands for them again, however upstreams write a text that they repeat.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, MatchKind};
use snaphook_model::{Code, Fault, HttpResponse};
use zeroize::Zeroize as _;

use super::spellings;

/// Shorter values stand in many a text by chance, and whoever tries finds them anyway.
const SHORTEST: usize = 4;
/// Bytes of all texts of one request together: each is searched for in dozens of spellings.
const MOST_BYTES: usize = 16 << 10;

/// Finds texts of secrets.
pub(crate) struct Mask {
    /// None where there is nothing to find.
    found: Option<AhoCorasick>,
    shown: Vec<String>,
}

impl Mask {
    /// Finds these texts in every spelling, and shows the other of each pair in their place.
    ///
    /// # Errors
    /// `invalid` when they are longer together than can be searched for, `internal` when there is no search: without one, no answer may be passed on.
    pub(crate) fn new<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Fault> {
        let mut forms: BTreeMap<String, &str> = BTreeMap::new();
        let mut bytes = 0;
        for (text, shown) in pairs.filter(|(text, _)| text.len() >= SHORTEST) {
            bytes += text.len();
            if bytes > MOST_BYTES {
                let detail = format!("the secrets that one request uses are longer together than {MOST_BYTES} bytes");
                return Err(Fault::new(Code::Invalid, detail));
            }
            let spellings: BTreeSet<String> = spellings::of(text);
            for spelling in spellings {
                forms.entry(spelling).or_insert(shown);
            }
        }
        if forms.is_empty() {
            return Ok(Self { found: None, shown: Vec::new() });
        }
        let (needles, shown): (Vec<String>, Vec<&str>) = forms.into_iter().unzip();
        // The longest first, so that what encloses another value is replaced whole.
        let found = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles);
        needles.into_iter().for_each(|mut needle| needle.zeroize());
        let found = found.map_err(|error| {
            tracing::error!(%error, "secrets cannot be searched for");
            Fault::new(Code::Internal, "internal error")
        })?;
        Ok(Self { found: Some(found), shown: shown.into_iter().map(str::to_owned).collect() })
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
    /// `response-size` when the body is longer than it may be with what stands in their place.
    pub(crate) fn response(&self, response: &mut HttpResponse, max_bytes: u64) -> Result<(), Fault> {
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
        response.body = found.replace_all_bytes(&response.body, &self.shown).into();
        Ok(())
    }
}
