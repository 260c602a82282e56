//! Where in its text a value of a document stands, found by reading the text again. A reader of JSON is made to fail at that value, since its
//! error says where.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::strict::place_in_yaml;

/// What that error says.
const HERE: &str = "the value is here";

/// Looks in the text of a document for what a path such as `steps[2].headers.x` names.
#[derive(Debug, Clone, Copy)]
pub struct PlaceOf<'p> {
    path: &'p str,
}

impl<'p> PlaceOf<'p> {
    /// Looks for a path.
    #[must_use]
    pub const fn path(path: &'p str) -> Self {
        Self { path }
    }

    /// Line and column of the value's key, or of the value in a list, in JSON text; both from 1. None where there is no such value.
    #[must_use]
    pub fn in_json(self, text: &[u8]) -> Option<(usize, usize)> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        // Other errors are those of a text that is no JSON.
        let error = self.deserialize(&mut reader).err().filter(|error| error.to_string().contains(HERE))?;
        // The reader stands behind a key then.
        let line = text.split(|byte| *byte == b'\n').nth(error.line().checked_sub(1)?)?;
        let read = line.get(..error.column())?;
        let key = self.path.rsplit(['.', ']']).next().unwrap_or_default();
        let begins = read.strip_suffix(format!("\"{key}\"").as_bytes()).map(|before| before.len() + 1);
        Some((error.line(), begins.unwrap_or(error.column())))
    }

    /// The same in YAML text.
    #[must_use]
    pub fn in_yaml(self, text: &[u8]) -> Option<(usize, usize)> {
        place_in_yaml(text, self)
    }

    /// Whether nothing is left of the path.
    pub(crate) const fn is_reached(self) -> bool {
        self.path.is_empty()
    }

    /// Fails at the value itself.
    fn here<E: Error>(self) -> Result<(), E> {
        if self.is_reached() { Err(E::custom(HERE)) } else { Ok(()) }
    }

    /// What is left of the path below this key.
    pub(crate) fn below_key(self, key: &str) -> Option<Self> {
        let rest = self.path.strip_prefix(key)?;
        match rest.strip_prefix('.') {
            Some(path) => Some(Self { path }),
            None => (rest.is_empty() || rest.starts_with('[')).then_some(Self { path: rest }),
        }
    }

    /// The position in a list that the path begins with, and what is left of it below.
    pub(crate) fn item(self) -> Option<(usize, Self)> {
        let (position, rest) = self.path.strip_prefix('[')?.split_once(']')?;
        Some((position.parse().ok()?, Self { path: rest.strip_prefix('.').unwrap_or(rest) }))
    }
}

impl<'de> DeserializeSeed<'de> for PlaceOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PlaceOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.here()?;
        while let Some(key) = map.next_key::<String>()? {
            match self.below_key(&key) {
                Some(below) if below.is_reached() => return Err(A::Error::custom(HERE)),
                Some(below) => map.next_value_seed(below)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.here()?;
        let Some((position, below)) = self.item() else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        for _ in 0..position {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        if list.next_element_seed(below)?.is_some() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.here()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.here()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.here()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.here()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.here()
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.here()
    }
    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.here()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "a.b": {"c": 1},
  "steps": [
    {"url": "x"},
    {"headers": {"x": "first"}, "data": [1, {"deep": null}]}
  ]
}"#;

    #[test]
    fn values_are_found_in_their_line() {
        let line = |path: &str| PlaceOf::path(path).in_json(TEXT.as_bytes()).map(|(line, _)| line);
        for (path, expected) in [
            ("a.b", Some(2)),
            ("a.b.c", Some(2)),
            ("steps", Some(3)),
            ("steps[0].url", Some(4)),
            ("steps[1].headers.x", Some(5)),
            ("steps[1].data[1].deep", Some(5)),
            ("steps[2].url", None),
            ("steps[0].headers", None),
            ("nothing", None),
        ] {
            assert_eq!(line(path), expected, "{path}");
        }
        let column = |path: &str| PlaceOf::path(path).in_json(TEXT.as_bytes()).unwrap().1;
        assert_eq!((column("steps"), column("steps[0].url"), column("steps[1].headers.x")), (3, 6, 18));
        let list = b"[\n1,\n\"two\",\n{}]";
        assert_eq!([0, 1, 2].map(|item| PlaceOf::path(&format!("[{item}]")).in_json(list).unwrap().0), [2, 3, 4]);
        assert!(column("steps[1].headers.x") < column("steps[1].data") && column("steps[1].data") < column("steps[1].data[1].deep"));
        assert_eq!(PlaceOf::path("a").in_json(b"{"), None);
    }

    #[test]
    fn values_are_found_in_yaml_too() {
        let text = "a.b: &x\n  c: 1\nsteps:\n- {url: x}\n- headers: {\"x\": 'y'}\n  data:\n  - 1\n  - deep:\n\n      ~\nmore: *x\n";
        for (path, expected) in [
            ("a.b", Some((1, 1))),
            ("a.b.c", Some((2, 3))),
            ("steps", Some((3, 1))),
            ("steps[0]", Some((4, 3))),
            ("steps[0].url", Some((4, 4))),
            ("steps[1].headers.x", Some((5, 13))),
            ("steps[1].data[1].deep", Some((8, 5))),
            ("more.c", Some((2, 3))),
            ("steps[2].url", None),
            ("steps[0].headers", None),
            ("", None),
        ] {
            assert_eq!(PlaceOf::path(path).in_yaml(text.as_bytes()), expected, "{path}");
        }
        assert_eq!(PlaceOf::path("a").in_yaml(b"a: [1"), None);
    }
}
