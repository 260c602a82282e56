//! Reads documents of which nothing may be lost, JSON and YAML: a key that stands twice would hide its first value, and a number that no machine
//! number holds would become another one.

mod number;
mod yaml;

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use self::number::is_kept;
pub use self::yaml::from_yaml;
pub(crate) use self::yaml::place_in_yaml;

/// What is said of a number that would become another one.
const TOO_MANY_DIGITS: &str = "this number has more digits than are kept; write it as a text, in quotes";

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStrict {
    /// Where in the document, of a text that says more than would be kept; none where the text is no JSON, or no YAML.
    pub path: Option<String>,
    /// What is wrong.
    pub detail: String,
    /// In the text, from 1.
    pub line: usize,
    /// In the line, from 1.
    pub column: usize,
}

/// Reads a document written in JSON.
///
/// # Errors
/// When the text is no JSON, a key stands twice in one object, or a number has more digits than are kept.
pub fn from_json(text: &[u8]) -> Result<Value, NotStrict> {
    let reader = Reader { path: RefCell::default(), refused: Cell::new(false), numbers: Cell::new(0), lost: first_lost(text) };
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = Node(&reader).deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|error| {
        // serde_json ends its message with the place, which has fields of its own here.
        let message = error.to_string();
        let detail = message.split(" at line ").next().unwrap_or(&message).to_owned();
        let path = reader.refused.get().then(|| shown(&reader.path.borrow()));
        // Of a line's end it says that nothing of the next line was read.
        NotStrict { path, detail, line: error.line().max(1), column: error.column().max(1) }
    })
}

/// A step down from a value.
enum Segment {
    Key(String),
    Item(usize),
}

fn shown(path: &[Segment]) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) if out.is_empty() => out.push_str(key),
            Segment::Key(key) => out.extend([".", key]),
            Segment::Item(position) => out += &format!("[{position}]"),
        }
    }
    out
}

/// What is known on the way through a text.
struct Reader {
    /// To the value under way; after an error, to where it was.
    path: RefCell<Vec<Segment>>,
    /// Whether the error is about what JSON allows.
    refused: Cell<bool>,
    /// How many were read. The parser gives values and not their text, so numbers are told apart by counting.
    numbers: Cell<usize>,
    /// Which of the numbers would not be kept.
    lost: Option<usize>,
}

impl Reader {
    fn refuse<E: serde::de::Error>(&self, detail: &str) -> E {
        self.refused.set(true);
        E::custom(detail)
    }

    fn number<E: serde::de::Error>(&self, number: impl Into<Number>) -> Result<Value, E> {
        let position = self.numbers.replace(self.numbers.get() + 1);
        if self.lost == Some(position) {
            return Err(self.refuse(TOO_MANY_DIGITS));
        }
        Ok(Value::Number(number.into()))
    }

    /// One level down; the path stays there when it fails.
    fn below<T, E>(&self, segment: Segment, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.path.borrow_mut().push(segment);
        let value = read()?;
        self.path.borrow_mut().pop();
        Ok(value)
    }
}

#[derive(Clone, Copy)]
struct Node<'r>(&'r Reader);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.0.number(value)
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.0.number(value)
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.0.number(Number::from_f64(value).ok_or_else(|| E::custom("a number that JSON does not have"))?)
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = self.0.below(Segment::Item(values.len()), || list.next_element_seed(self))? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = self.0.below(Segment::Key(key.clone()), || {
                if values.contains_key(&key) {
                    return Err(self.0.refuse::<A::Error>(&format!("the key `{key}` stands here twice")));
                }
                map.next_value_seed(self)
            })?;
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

/// Which of a JSON text's numbers, counted from 0, would become another one.
fn first_lost(text: &[u8]) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = end_of_text(text, at + 1),
            b'-' | b'0'..=b'9' => {
                let rest = &text[at..];
                let length = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).unwrap_or(rest.len());
                if !is_kept(std::str::from_utf8(&rest[..length]).unwrap_or_default()) {
                    return Some(count);
                }
                count += 1;
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

/// Where the text is over that begins here.
fn end_of_text(text: &[u8], begin: usize) -> usize {
    let mut at = begin;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_and_nothing_of_it_lost() {
        let text = br#" {"a": [1, -2, 1.50, "x\"1e999", null, true], "b": {"c": {}}, "": 0.1} "#;
        assert_eq!(from_json(text).unwrap(), json!({"a": [1, -2, 1.5, "x\"1e999", null, true], "b": {"c": {}}, "": 0.1}));
        for (text, path) in [
            (r#"{"a": 1, "a": 2}"#, "a"),
            (r#"{"x": [{"k": [1]}, {"a": 1, "b": 2, "a": 3}]}"#, "x[1].a"),
            (r#"[{"a": "1e400"}, [0, 12345678901234567890123]]"#, "[1][1]"),
        ] {
            let wrong = from_json(text.as_bytes()).unwrap_err();
            assert_eq!((wrong.path.as_deref(), wrong.line), (Some(path), 1), "{wrong:?}");
        }
        let wrong = from_json(b"{\n\"a\": }").unwrap_err();
        assert_eq!((wrong.path, wrong.line, wrong.detail.as_str()), (None, 2, "expected value"));
        assert!(from_json(b"{} x").is_err() && from_json(b"").is_err() && from_json(b"\"\\").is_err() && from_json(b"\"\xff\"").is_err());
    }

    #[test]
    fn numbers_are_kept_or_refused() {
        for kept in [
            "0",
            "-0",
            "0.0",
            "1.50",
            "18446744073709551615",
            "-9223372036854775808",
            "1e3",
            "1E+300",
            "100000000000000000000",
            "0.1",
            "123456789.12345678",
            "5e-324",
            "1.7976931348623157e308",
            "0.000000000000000000001",
            "-2.1770546155555755e+306",
        ] {
            assert!(from_json(kept.as_bytes()).is_ok(), "{kept}");
        }
        for lost in ["18446744073709551617", "12345678901234567890.50", "0.12345678901234567890", "1e-400", "9007199254740993.0"] {
            assert!(from_json(lost.as_bytes()).unwrap_err().path.is_some(), "{lost}");
        }
    }
}
