//! Reads YAML into the values that JSON has, with the text of each number in hand: a reader that gives machine numbers has rounded them by then.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Location, Spanned};

use super::number::is_same;
use super::{NotStrict, Segment, TOO_MANY_DIGITS, shown};
use crate::PlaceOf;

/// Reads a document written in YAML.
///
/// Only `true` and `false` are booleans, as in JSON: `no` is a country and `on` a word. What has underscores is text.
///
/// # Errors
/// When the text is no YAML, a key stands twice in one mapping, or a number would not be kept as it is written: it has more digits than are
/// kept, zeros before it, which not all readers see the same number in, or is none of JSON's.
pub fn from_yaml(text: &[u8]) -> Result<Value, NotStrict> {
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(text, error.valid_up_to()))?;
    let root = read(text).map_err(|error| {
        let (line, column) = error.location().and_then(place).unwrap_or((1, 1));
        NotStrict { path: None, detail: error.to_string(), line, column }
    })?;
    Checked { text, path: Vec::new() }.value(root)
}

/// Line and column, from 1, of the key that a path leads to, or of the value in a list.
pub(crate) fn place_in_yaml(text: &[u8], path: PlaceOf<'_>) -> Option<(usize, usize)> {
    let root = read(std::str::from_utf8(text).ok()?).ok()?;
    found(&root, path)
}

fn not_utf8(text: &[u8], at: usize) -> NotStrict {
    let before = &text[..at];
    let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[begin..]).chars().count() + 1;
    NotStrict { path: None, detail: "its bytes are not UTF-8".to_owned(), line, column }
}

/// A value with where it stands.
#[derive(Debug)]
enum Node {
    Null,
    Bool(bool),
    Whole(Number),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn read(text: &str) -> Result<Spanned<Node>, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        // They are refused here, with their path.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(text, options)
}

fn place(at: Location) -> Option<(usize, usize)> {
    let (line, column) = (usize::try_from(at.line()).ok()?, usize::try_from(at.column()).ok()?);
    (line > 0).then_some((line, column))
}

fn found(node: &Spanned<Node>, path: PlaceOf<'_>) -> Option<(usize, usize)> {
    match &node.value {
        Node::Map(entries) => entries.iter().find_map(|(key, value)| {
            let below = path.below_key(&key.value)?;
            if below.is_reached() { place(key.defined) } else { found(value, below) }
        }),
        Node::List(items) => {
            let (position, below) = path.item()?;
            let item = items.get(position)?;
            if below.is_reached() { place(item.defined) } else { found(item, below) }
        }
        _ => None,
    }
}

/// A document that is looked through for what would be lost.
struct Checked<'t> {
    text: &'t str,
    /// To the value under way.
    path: Vec<Segment>,
}

impl Checked<'_> {
    fn value(&mut self, node: Spanned<Node>) -> Result<Value, NotStrict> {
        let at = node.defined;
        Ok(match node.value {
            Node::Null => Value::Null,
            Node::Bool(value) => value.into(),
            Node::Whole(number) => Value::Number(number),
            Node::Float(number) => Value::Number(self.float(number, at)?),
            Node::Text(text) if is_whole(&text) && self.written(at) == text => return Err(self.refused(TOO_MANY_DIGITS, at)),
            Node::Text(text) => text.into(),
            Node::List(items) => {
                let items = items.into_iter().enumerate().map(|(position, item)| self.below(Segment::Item(position), item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Node::Map(entries) => self.map(entries)?,
        })
    }

    fn map(&mut self, entries: Vec<(Spanned<String>, Spanned<Node>)>) -> Result<Value, NotStrict> {
        let mut map = Map::new();
        for (key, value) in entries {
            // Keys of two types, which are two to the reader, can have one text.
            if map.contains_key(&key.value) {
                self.path.push(Segment::Key(key.value.clone()));
                return Err(self.refused(&format!("the key `{}` stands here twice", key.value), key.defined));
            }
            let value = self.below(Segment::Key(key.value.clone()), value)?;
            map.insert(key.value, value);
        }
        Ok(map.into())
    }

    fn below(&mut self, segment: Segment, node: Spanned<Node>) -> Result<Value, NotStrict> {
        self.path.push(segment);
        let value = self.value(node)?;
        self.path.pop();
        Ok(value)
    }

    /// Only of these can anything be lost: whole numbers come here too where no machine number holds them.
    fn float(&self, number: f64, at: Location) -> Result<Number, NotStrict> {
        let number = Number::from_f64(number).ok_or_else(|| self.refused("JSON has no such number; write it as a text, in quotes", at))?;
        let written = self.written(at);
        // A type may be given to a text in quotes.
        let written = written.trim_matches(['"', '\'']).trim();
        let digits = written.strip_prefix(['-', '+']).unwrap_or(written);
        if digits.starts_with('0') && digits[1..].starts_with(|next: char| next.is_ascii_digit()) {
            return Err(
                self.refused("this number begins with a zero, which not everybody reads alike; leave it out, or put quotes around it", at)
            );
        }
        if !is_same(&number, written.strip_prefix('+').unwrap_or(written)) {
            return Err(self.refused(TOO_MANY_DIGITS, at));
        }
        Ok(number)
    }

    /// The document's own characters for a value.
    fn written(&self, at: Location) -> &str {
        let span = at.span();
        let begin = span.byte_offset().and_then(|begin| usize::try_from(begin).ok());
        let length = span.byte_len().and_then(|length| usize::try_from(length).ok());
        let range = begin.zip(length).and_then(|(begin, length)| Some(begin..begin.checked_add(length)?));
        range.and_then(|range| self.text.get(range)).unwrap_or_default().trim()
    }

    fn refused(&self, detail: &str, at: Location) -> NotStrict {
        let (line, column) = place(at).unwrap_or((1, 1));
        NotStrict { path: Some(shown(&self.path)), detail: detail.to_owned(), line, column }
    }
}

/// Whether a text is a whole number to the base 16, 8 or 2, which the reader leaves a text where no machine number holds it.
fn is_whole(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some((prefix, digits)) = unsigned.split_at_checked(2) else { return false };
    let base = match prefix {
        "0x" | "0X" => 16,
        "0o" | "0O" => 8,
        "0b" | "0B" => 2,
        _ => return false,
    };
    !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Whole(value.into()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Whole(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests;
