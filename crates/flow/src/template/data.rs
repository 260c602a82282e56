//! `data` with templates, and how it becomes a body.

use bytes::Bytes;
use serde_json::Value;
use snaphook_model::request::has_template;
use snaphook_model::{Code, Encode, Fault};

use super::engine::{Place, Whole};
use super::json;
use super::parse::{self, Read};
use super::text::{Text, check_length};
use super::values::{Needs, Reference, Values};

/// A body and its media type.
pub(crate) type EncodedBody = (Bytes, &'static str);

/// Data of a definition that has templates.
#[derive(Debug)]
pub(super) struct DataTemplate {
    /// The JSON text in pieces.
    pieces: Vec<Piece>,
    path: Box<str>,
    encode: Encode,
}

/// A piece of a JSON text.
#[derive(Debug)]
enum Piece {
    /// As it is written.
    Literal(String),
    /// The inside of a JSON text; the quotes stand around it.
    Text(Box<str>, Text),
    /// A whole value.
    Reference(Box<str>, Reference),
    /// The same, by the engine.
    Expression(Box<str>, Box<Whole>),
}

/// Whether there is a template anywhere in a value, keys too.
pub(super) fn is_literal(data: &Value) -> bool {
    match data {
        Value::String(text) => !has_template(text),
        Value::Array(list) => list.iter().all(is_literal),
        Value::Object(map) => map.iter().all(|(key, value)| !has_template(key) && is_literal(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

impl DataTemplate {
    /// Reads data; `path` is its place in the document.
    pub(super) fn read(path: &str, data: &Value, encode: Encode, needs: &mut Needs) -> Result<Self, Fault> {
        let mut reader = Reader { pieces: Vec::new(), needs };
        reader.value(path, data)?;
        Ok(Self { pieces: reader.pieces, path: path.into(), encode })
    }

    /// The JSON text for these values.
    pub(super) fn render(&self, values: &Values) -> Result<String, Fault> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Text(path, text) => {
                    out.push('"');
                    text.render_escaped(values, &mut out).map_err(|fault| of_field(fault, path))?;
                    out.push('"');
                }
                Piece::Reference(path, reference) => {
                    let value = values.find(reference).map_err(|fault| of_field(fault, path))?;
                    out.push_str(value.as_deref().unwrap_or("\"\""));
                }
                Piece::Expression(path, whole) => {
                    let value = whole.eval(values).map_err(|fault| of_field(fault, path))?;
                    out.push_str(value.as_deref().unwrap_or("\"\""));
                }
            }
            check_length(&out).map_err(|fault| of_field(fault, &self.path))?;
        }
        Ok(out)
    }

    /// The body for these values.
    pub(super) fn body(&self, values: &Values) -> Result<EncodedBody, Fault> {
        encoded(self.render(values)?, self.encode).map_err(|fault| of_field(fault, &self.path))
    }
}

fn of_field(fault: Fault, path: &str) -> Fault {
    if fault.path.is_some() { fault } else { fault.in_field(path) }
}

/// Takes data apart; neighbouring literal text becomes one piece.
struct Reader<'n> {
    pieces: Vec<Piece>,
    needs: &'n mut Needs,
}

impl Reader<'_> {
    fn literal(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Literal(before)) => before.push_str(text),
            _ => self.pieces.push(Piece::Literal(text.to_owned())),
        }
    }

    fn value(&mut self, path: &str, value: &Value) -> Result<(), Fault> {
        match value {
            Value::String(text) => self.text(path, text, true),
            Value::Array(list) => {
                self.literal("[");
                for (i, item) in list.iter().enumerate() {
                    if i > 0 {
                        self.literal(",");
                    }
                    self.value(&format!("{path}[{i}]"), item)?;
                }
                self.literal("]");
                Ok(())
            }
            Value::Object(map) => {
                self.literal("{");
                for (i, (key, item)) in map.iter().enumerate() {
                    if i > 0 {
                        self.literal(",");
                    }
                    let path = format!("{path}.{key}");
                    self.text(&path, key, false)?;
                    self.literal(":");
                    self.value(&path, item)?;
                }
                self.literal("}");
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.literal(&value.to_string());
                Ok(())
            }
        }
    }

    /// A text, or a key, which stays one whatever its template gives.
    fn text(&mut self, path: &str, text: &str, whole: bool) -> Result<(), Fault> {
        if !has_template(text) {
            self.literal(&Value::from(text).to_string());
            return Ok(());
        }
        let piece = match parse::read(text, Place::Text, whole, self.needs).map_err(|bad| bad.in_field(path))? {
            Read::Reference(reference) => Piece::Reference(path.into(), reference),
            Read::Expression(expression) => Piece::Expression(path.into(), expression),
            Read::Text(text) => Piece::Text(path.into(), text),
        };
        self.pieces.push(piece);
        Ok(())
    }
}

/// A JSON text as a body.
pub(crate) fn encoded(json: String, encode: Encode) -> Result<EncodedBody, Fault> {
    match encode {
        // A form of several parts is made of the JSON once its files are known.
        Encode::Json | Encode::Multipart => Ok((json.into(), "application/json")),
        Encode::Form => form(&json).map(|form| (form.into(), "application/x-www-form-urlencoded")),
        Encode::Text => Ok((Bytes::from(json::as_text(&json).into_owned()), "text/plain; charset=utf-8")),
    }
}

/// A list repeats its name, null is left out, and an object inside is its JSON text, since a form has no word for it.
fn form(json: &str) -> Result<String, Fault> {
    let entries = json::entries(json)
        .ok_or_else(|| Fault::new(Code::Template, "the data became something else than an object, which a form is made of"))?;
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in entries {
        let value = value.get();
        let items = json::items(value);
        let values = items.as_ref().map_or_else(|| vec![value], |items| items.iter().map(|item| item.get()).collect());
        for value in values.into_iter().filter(|value| *value != "null") {
            form.append_pair(&name, &json::as_text(value));
        }
    }
    Ok(form.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_repeats_names_and_leaves_null_out() {
        let form = |json: &str| encoded(json.to_owned(), Encode::Form).map(|(bytes, _)| String::from_utf8(bytes.to_vec()).unwrap());
        let json = r#"{"a":[1,2],"b":"x y&=\u00e9","c":null,"d":true,"e":{"f":1.50},"g":[null,"z"]}"#;
        assert_eq!(form(json).unwrap(), "a=1&a=2&b=x+y%26%3D%C3%A9&d=true&e=%7B%22f%22%3A1.50%7D&g=z");
        assert_eq!(form("[1]").unwrap_err().code, Code::Template);
    }

    #[test]
    fn text_is_sent_without_quotes() {
        let text = |json: &str| encoded(json.to_owned(), Encode::Text).unwrap().0;
        assert_eq!(text(r#""a\n\"b\"""#), "a\n\"b\"");
        assert_eq!(text(r#"{"a":1}"#), r#"{"a":1}"#);
    }
}
