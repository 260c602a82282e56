//! JSON as text: picking a part out without building the whole, exactly as it is written there; and its forms for templates.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use minijinja::value::Value as Engine;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Values that one template may have made out of JSON text: each takes some tens of bytes, so this is a few megabytes.
pub(super) const MAX_NODES: u32 = 100_000;

/// The part of a JSON text under a path, exactly as it is written; none where there is nothing. Of keys that are repeated the last one counts.
///
/// # Errors
/// The text is not JSON.
pub(crate) fn pick<'a, S: AsRef<str>>(text: &'a str, segments: &[S]) -> serde_json::Result<Option<&'a str>> {
    let Some((first, rest)) = segments.split_first() else {
        return serde_json::from_str::<&RawValue>(text).map(|value| Some(value.get()));
    };
    let mut found = below(text.trim_ascii(), first.as_ref())?;
    for segment in rest {
        let Some(value) = found else { return Ok(None) };
        found = below(value.get(), segment.as_ref())?;
    }
    Ok(found.map(RawValue::get))
}

/// One level down.
pub(crate) fn below<'a>(text: &'a str, segment: &str) -> serde_json::Result<Option<&'a RawValue>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    match text.as_bytes().first() {
        Some(b'{') => reader.deserialize_map(Key(segment)),
        Some(b'[') => {
            let Ok(at) = segment.parse::<i64>() else { return Ok(None) };
            if at >= 0 {
                return reader.deserialize_seq(Item(usize::try_from(at).unwrap_or(usize::MAX)));
            }
            let list = Vec::<&RawValue>::deserialize(&mut reader)?;
            Ok(position(segment, list.len()).and_then(|at| list.get(at).copied()))
        }
        _ => Ok(None),
    }
}

/// Where in a list of so many items a segment leads, negative ones from its end; maybe beyond it.
pub(super) fn position(segment: &str, length: usize) -> Option<usize> {
    let position = segment.parse::<i64>().ok()?;
    let from_start = if position < 0 { i64::try_from(length).unwrap_or(i64::MAX).checked_add(position)? } else { position };
    usize::try_from(from_start).ok()
}

/// Looks for one key of an object.
struct Key<'k>(&'k str);

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(fits) = map.next_key_seed(Fits(self.0))? {
            if fits {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is the one looked for; makes no text of it.
struct Fits<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Fits<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Fits<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Looks for one item of a list.
struct Item(usize);

impl<'de> Visitor<'de> for Item {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.0 {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// The names and values of an object in their order, values as they are written; none where the text is no object.
pub(crate) fn entries(text: &str) -> Option<Vec<(String, &RawValue)>> {
    let mut entries = Vec::new();
    each_entry(text, usize::MAX, |name, value| entries.push((name, value)))?;
    Some(entries)
}

/// Walks through the same; none also where there are more than `most`.
pub(super) fn each_entry<'t>(text: &'t str, most: usize, each: impl FnMut(String, &'t RawValue)) -> Option<()> {
    struct Entries<F>(usize, F);
    impl<'de, F: FnMut(String, &'de RawValue)> Visitor<'de> for Entries<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry()? {
                self.0 = self.0.checked_sub(1).ok_or_else(too_many)?;
                self.1(name, value);
            }
            Ok(())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Entries(most, each)).ok()?;
    reader.end().ok()
}

/// Walks through the items of a list; none where the text is no list or has more than `most`.
pub(super) fn each_item<'t>(text: &'t str, most: usize, each: impl FnMut(&'t RawValue)) -> Option<()> {
    struct Items<F>(usize, F);
    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Items<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(value) = list.next_element()? {
                self.0 = self.0.checked_sub(1).ok_or_else(too_many)?;
                self.1(value);
            }
            Ok(())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_seq(Items(most, each)).ok()?;
    reader.end().ok()
}

fn too_many<E: serde::de::Error>() -> E {
    E::custom("more entries than are taken apart")
}

/// The items of a list as they are written; none where the text is no list.
pub(crate) fn items(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// A JSON value as text among text: a text is itself, null is nothing, everything else is its JSON text.
pub(crate) fn as_text(json: &str) -> Cow<'_, str> {
    match json.as_bytes() {
        b"null" => Cow::Borrowed(""),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Cow::Borrowed(&json[1..json.len() - 1]),
        // A half of a surrogate pair is text in JSON and nowhere else.
        [b'"', ..] => serde_json::from_str(json).map_or_else(|_| lossy(json), Cow::Owned),
        _ => Cow::Borrowed(json),
    }
}

/// A text with halves of surrogate pairs, each replaced by the sign for what cannot be read.
fn lossy(json: &str) -> Cow<'static, str> {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }
    Cow::Owned(serde_json::Deserializer::from_str(json).deserialize_bytes(Bytes).unwrap_or_default())
}

/// A text inside a JSON text, without the quotes around it.
pub(crate) fn write_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(&rest[..at]);
        let special = rest.as_bytes()[at];
        match special {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => write!(out, "\\u{special:04x}").expect("a String takes every text"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// A JSON value's text inside another JSON text, without the quotes around it. A text is copied as it is written: it is escaped already.
pub(crate) fn write_text_escaped(out: &mut String, json: &str) {
    match json.as_bytes() {
        [b'"', .., b'"'] => out.push_str(&json[1..json.len() - 1]),
        _ => write_escaped(out, &as_text(json)),
    }
}

/// Makes values for the template engine, which has a form of its own.
#[derive(Debug)]
pub(super) struct Maker {
    /// How many may still be made. Atomic only because the engine asks for values that threads may share.
    left: AtomicU32,
}

/// Why no value can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl Maker {
    pub(super) fn new() -> Self {
        Self { left: AtomicU32::new(MAX_NODES) }
    }

    /// The value of a JSON text; of what is none, the text.
    pub(super) fn value(&self, json: &str) -> Result<Engine, TooMany> {
        match Node(self).deserialize(&mut serde_json::Deserializer::from_str(json)) {
            Ok(value) => Ok(value),
            Err(_) if self.is_spent() => Err(TooMany),
            Err(_) => Ok(Engine::from(json)),
        }
    }

    /// Whether more was asked for than there is.
    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn take_one(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed).saturating_sub(1);
        self.left.store(left, Ordering::Relaxed);
        left > 0
    }
}

#[derive(Clone, Copy)]
struct Node<'m>(&'m Maker);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Engine;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Engine, D::Error> {
        if !self.0.take_one() {
            return Err(serde::de::Error::custom("more values than a template may look at"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Engine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Engine, E> {
        Ok(Engine::from(()))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Engine, E> {
        Ok(Engine::from(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Engine, E> {
        Ok(Engine::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Engine, E> {
        Ok(Engine::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Engine, E> {
        Ok(Engine::from(value))
    }
    fn visit_str<E>(self, text: &str) -> Result<Engine, E> {
        Ok(Engine::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Engine, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Engine::from(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Engine, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Engine::from_pairs(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_picked_as_they_are_written() {
        let text = r#" {"a": [1, {"b": 12345678901234567890.50}, "x"], "a.b": 1, "k": {"k": 1}, "k": 2, "ü\n": [ ]} "#;
        let cases: [(&[&str], Option<&str>); 9] = [
            (&["a", "1", "b"], Some("12345678901234567890.50")),
            (&["a", "-1"], Some("\"x\"")),
            (&["a", "3"], None),
            (&["a", "-4"], None),
            (&["a", "b"], None),
            (&["k"], Some("2")),
            (&["ü\n"], Some("[ ]")),
            (&["k", "k"], None),
            (&["a", "2", "x"], None),
        ];
        for (path, expected) in cases {
            assert_eq!(pick(text, path).unwrap(), expected, "{path:?}");
        }
        assert_eq!(pick::<&str>(" [1] ", &[]).unwrap(), Some("[1]"));
        assert!(pick(r#"{"a": 1"#, &["a"]).is_err() && pick("{\"a\": 1} x", &[] as &[&str]).is_err());
    }

    #[test]
    fn values_are_text_among_text() {
        let cases = [("null", ""), ("true", "true"), ("1.50", "1.50"), (r#""a""#, "a"), (r#""a\n\u00e9\"""#, "a\né\""), ("[1]", "[1]")];
        for (json, text) in cases {
            assert_eq!(as_text(json), text, "{json}");
        }
        let half = as_text(r#""a\ud800b""#);
        assert!(half.starts_with('a') && half.ends_with('b') && half.contains('\u{fffd}'), "{half}");
    }

    #[test]
    fn a_template_looks_at_so_many_values() {
        let many = format!("[{}1]", "1,".repeat(MAX_NODES as usize));
        assert_eq!(Maker::new().value(&many), Err(TooMany));
        assert_eq!(Maker::new().value("nonsense").unwrap(), Engine::from("nonsense"));
    }
}
