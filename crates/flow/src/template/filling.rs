//! What the filling of one request has spent, and what it found on the way, so that nothing large is looked through twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Value as Engine;
use snaphook_model::{Code, Fault};

use super::json;

/// What all templates of one request may spend together: a unit for each step of the engine, each name, and every 64 bytes that are looked
/// through or put in. That is forty templates that each spend all that one may, or 128 MB of JSON: a few tenths of a second.
pub(super) const REQUEST_WORK: u64 = 2_000_000;

/// Bytes that cost a unit, as the engine charges for what it copies.
pub(super) const BYTES_PER_UNIT: usize = 64;

/// From this size on a value is taken apart once for all names below it. A smaller one is looked through sooner than taken apart.
pub(super) const INDEXED_BYTES: usize = 512;

/// Entries of a value that is taken apart. Each takes some eighty bytes while the request is filled, and costs units for them.
const INDEXED_ENTRIES: usize = 100_000;
const UNITS_PER_ENTRY: usize = 4;

/// One filling. What is atomic or locked here is so only because the engine asks for values that threads may share.
#[derive(Debug)]
pub(super) struct Filling {
    limit: u64,
    left: AtomicU64,
    spent: AtomicBool,
    /// None for what cannot be taken apart.
    indexes: Mutex<BTreeMap<Place, Option<Arc<Index>>>>,
    /// Values that the engine was given, by name.
    made: Mutex<BTreeMap<String, Engine>>,
}

/// The address and length of a text, which stays where it is while a request is filled.
type Place = (usize, usize);

/// Where the entries of a JSON value stand in its text.
#[derive(Debug)]
pub(super) enum Index {
    /// Sorted by name; of names that are repeated, the last one counts.
    Object(Vec<(Box<str>, Range<usize>)>),
    List(Vec<Range<usize>>),
}

impl Filling {
    pub(super) fn new(limit: u64) -> Self {
        let (left, spent) = (AtomicU64::new(limit), AtomicBool::new(false));
        Self { limit, left, spent, indexes: Mutex::default(), made: Mutex::default() }
    }

    /// Spends units.
    ///
    /// # Errors
    /// `template-limit` when fewer are left.
    pub(super) fn spend(&self, units: u64) -> Result<(), Fault> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(units), Ordering::Relaxed);
        if units > left {
            self.spent.store(true, Ordering::Relaxed);
        }
        self.check()
    }

    /// Spends what it costs to look through so many bytes.
    pub(super) fn spend_bytes(&self, bytes: usize) -> Result<(), Fault> {
        self.spend(1 + (bytes / BYTES_PER_UNIT) as u64)
    }

    /// Whether more was wanted than there was.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// The same as a failure.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if !self.is_spent() {
            return Ok(());
        }
        let limit = self.limit;
        let detail = format!(
            "the templates of one request may spend {limit} units of work together, one for each step and every {BYTES_PER_UNIT} bytes, and these wanted more; name less, or prepare the values in a script"
        );
        Err(Fault::new(Code::TemplateLimit, detail).of_limit(limit, None))
    }

    /// Where the entries of a large value stand; none where it has too many, is neither object nor list, or is no JSON.
    pub(super) fn index(&self, text: &[u8]) -> Result<Option<Arc<Index>>, Fault> {
        let key = (text.as_ptr() as usize, text.len());
        if let Some(index) = self.indexes.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(index.clone());
        }
        self.spend_bytes(text.len())?;
        let index = std::str::from_utf8(text).ok().and_then(|text| Index::of(text, INDEXED_ENTRIES)).map(Arc::new);
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner).insert(key, index.clone());
        self.spend(index.as_ref().map_or(0, |index| index.len() * UNITS_PER_ENTRY) as u64)?;
        Ok(index)
    }

    /// A value that the engine was given before under a name.
    pub(super) fn made(&self, name: &str) -> Option<Engine> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Keeps a large value for the next template that names it.
    pub(super) fn keep(&self, name: &str, value: Engine) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
    }
}

impl Index {
    fn of(text: &str, most: usize) -> Option<Self> {
        let range = |value: &str| {
            let begin = value.as_ptr() as usize - text.as_ptr() as usize;
            begin..begin + value.len()
        };
        match text.as_bytes().first()? {
            b'{' => {
                let mut entries = Vec::new();
                json::each_entry(text, most, |name, value| entries.push((name.into(), range(value.get()))))?;
                entries.sort_by(|(one, _): &(Box<str>, _), (other, _)| one.cmp(other));
                Some(Self::Object(entries))
            }
            b'[' => {
                let mut items = Vec::new();
                json::each_item(text, most, |value| items.push(range(value.get())))?;
                Some(Self::List(items))
            }
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Object(entries) => entries.len(),
            Self::List(items) => items.len(),
        }
    }

    /// One level down, as [`json::below`] goes.
    pub(super) fn below(&self, segment: &str) -> Option<Range<usize>> {
        match self {
            Self::Object(entries) => {
                let after = entries.partition_point(|(name, _)| &**name <= segment);
                let (name, range) = entries[..after].last()?;
                (&**name == segment).then(|| range.clone())
            }
            Self::List(items) => json::position(segment, items.len()).and_then(|at| items.get(at)).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_apart_leads_where_looking_leads() {
        let object = r#"{"a": [1, 2], "b\n": {"c": 1}, "a": "last", "": null}"#;
        let list = r#"[1, "two", {"three": 3}]"#;
        for (text, segments) in [(object, ["a", "b\n", "", "c", "0"]), (list, ["0", "-1", "3", "-4", "x"])] {
            let index = Index::of(text, 10).unwrap();
            for segment in segments {
                let looked = json::below(text, segment).unwrap().map(serde_json::value::RawValue::get);
                assert_eq!(index.below(segment).map(|range| &text[range]), looked, "{segment}");
            }
        }
        for none in ["", "1", "\"x\"", r#"{"a": 1"#, r#"{"a": 1} x"#, "[1, 2, 3]"] {
            assert!(Index::of(none, 2).is_none(), "{none}");
        }
    }

    #[test]
    fn a_budget_is_spent_once() {
        let filling = Filling::new(10);
        assert!(filling.spend(10).is_ok() && !filling.is_spent());
        let fault = filling.spend_bytes(0).unwrap_err();
        assert_eq!((fault.code, fault.limit), (Code::TemplateLimit, Some(10)));
        assert!(filling.is_spent() && filling.spend(0).is_err());
    }
}
