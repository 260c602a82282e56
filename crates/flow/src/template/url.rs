//! URLs with templates: a value is one segment of the path or one part of the query, and never more.
//!
//! Where a value stands decides what it may be. At the very beginning it is a URL of its own, as manifests have it that keep the address of an API
//! among their values. In the host it is letters, digits, `.`, `-` and a port's `:`. Everywhere else it is percent-encoded. Whatever comes of it
//! goes past the tenant's egress policy like any other URL.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use snaphook_model::{Fault, Invalid};
use url::Url;

use super::engine::Place;
use super::json;
use super::text::{Field, Part, Text, check_length};
use super::values::{Needs, Values};
use crate::prepare::parse_url;

/// All but RFC 3986's unreserved characters, so that a value ends nothing that it stands in.
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Around a value that the engine puts into a URL. No literal text of a URL holds them.
pub(super) const MARK_BEGIN: char = '\u{1}';
pub(super) const MARK_END: char = '\u{2}';

/// The URL of a request.
#[derive(Debug)]
pub(super) struct UrlTemplate {
    /// Literal, of a connector; empty for a step with a URL of its own.
    base: String,
    text: Field,
    query: Vec<(Field, Field)>,
}

impl UrlTemplate {
    /// The URL of a step.
    pub(super) fn of_step(path: &str, text: &str, needs: &mut Needs) -> Result<Self, Fault> {
        let literal_start = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        if !literal_start && !text.starts_with("{{") {
            let detail = "must be an absolute URL with http:// or https://, or begin with a template whose value is one";
            return Err(Invalid::new(path, detail).into());
        }
        Ok(Self { base: String::new(), text: read(path, text, needs)?, query: Vec::new() })
    }

    /// The URL of an endpoint: its path and query under a connector's base.
    pub(super) fn of_endpoint<'q>(
        path: &str,
        base: &str,
        text: &str,
        query: impl IntoIterator<Item = (&'q String, &'q String)>,
        needs: &mut Needs,
    ) -> Result<Self, Fault> {
        let mut pairs = Vec::new();
        for (name, value) in query {
            let path = format!("{path}.query.{name}");
            pairs.push((Field::read(&path, name, Place::Text, needs)?, Field::read(&path, value, Place::Text, needs)?));
        }
        Ok(Self { base: base.to_owned(), text: read(&format!("{path}.path"), text, needs)?, query: pairs })
    }

    /// The URL for these values.
    pub(super) fn render(&self, values: &Values) -> Result<String, Fault> {
        let path = self.assemble(values).map_err(|fault| self.text.about(fault))?;
        let mut query = Vec::with_capacity(self.query.len());
        for (name, value) in &self.query {
            query.push((name.render(values)?, value.render(values)?));
        }
        join(&self.base, &path, &query).map(String::from).map_err(|fault| self.text.about(fault))
    }

    fn assemble(&self, values: &Values) -> Result<String, Fault> {
        let refuse = |detail| self.text.refuse(detail);
        let mut url = Assembly::new(!self.base.is_empty());
        match &self.text.text {
            Text::Literal(text) => url.literal(text).map_err(refuse)?,
            Text::Program(program) => url.marked(&program.render(values)?).map_err(refuse)?,
            Text::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Literal(text) => url.literal(text),
                        Part::Reference(reference) => {
                            let found = values.find(reference)?;
                            url.value(&found.as_deref().map_or(Cow::Borrowed(""), json::as_text))
                        }
                    }
                    .map_err(refuse)?;
                    check_length(&url.out)?;
                }
            }
        }
        url.end().map_err(refuse)
    }
}

/// A path and query under a base URL, which may have a query of its own; or a whole URL, where the base is empty.
pub(crate) fn join<N: AsRef<str>, V: AsRef<str>>(base: &str, path: &str, query: &[(N, V)]) -> Result<Url, Fault> {
    let (front, base_query) = base.split_once('?').map_or((base, None), |(front, query)| (front, Some(query)));
    let front = if path.is_empty() { front } else { front.trim_end_matches('/') };
    let mut url = if front.is_empty() { parse_url(path)? } else { parse_url(&format!("{front}{path}"))? };
    if let Some(base_query) = base_query {
        let both =
            [base_query, url.query().unwrap_or_default()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("&");
        url.set_query(Some(&both));
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

fn read(path: &str, text: &str, needs: &mut Needs) -> Result<Field, Fault> {
    if text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace()) {
        return Err(Invalid::new(path, "holds a control character").into());
    }
    Field::read(path, text, Place::Url, needs)
}

/// Where in a URL the next piece will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// A value began the URL and was one itself.
    Value,
    Scheme,
    Host,
    Path,
    Query,
}

/// A URL put together from literal text and values.
struct Assembly {
    out: String,
    at: At,
    /// Where the path's segment under way begins, and whether a value stands in it.
    segment: usize,
    filled: bool,
}

impl Assembly {
    fn new(below_base: bool) -> Self {
        Self { out: String::new(), at: if below_base { At::Path } else { At::Start }, segment: 0, filled: false }
    }

    fn literal(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        if self.at == At::Value {
            self.end_of_value(text)?;
        }
        if self.at == At::Start {
            self.at = At::Scheme;
        }
        for c in text.chars() {
            match (self.at, c) {
                (At::Scheme, '/') if self.out.ends_with(":/") => self.at = At::Host,
                (At::Host, '/' | '\\') => self.begin_segment(At::Path),
                (At::Path, '/' | '\\') => {
                    self.end_segment()?;
                    self.begin_segment(At::Path);
                }
                (At::Host, '?' | '#') => self.at = At::Query,
                (At::Path, '?' | '#') => {
                    self.end_segment()?;
                    self.at = At::Query;
                }
                _ => {}
            }
            self.out.push(c);
        }
        Ok(())
    }

    fn value(&mut self, value: &str) -> Result<(), String> {
        match self.at {
            At::Start => {
                let url = Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
                let url = url.ok_or("the value at the URL's beginning must be an absolute URL with http:// or https://")?;
                if !url.username().is_empty() || url.password().is_some() {
                    return Err("the value at the URL's beginning holds a user name or password; send them in a header".to_owned());
                }
                self.out.push_str(value.trim());
                self.at = At::Value;
            }
            At::Value => return Err("after a value that is a URL comes a `/`, not another value".to_owned()),
            At::Scheme => return Err("the scheme is `http` or `https`; a template cannot give a part of it".to_owned()),
            At::Host => {
                if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':')) {
                    return Err("a value in the host must be letters, digits, `.` and `-`, and `:` before a port".to_owned());
                }
                self.out.push_str(value);
            }
            At::Path | At::Query => {
                self.filled = true;
                self.out.extend(utf8_percent_encode(value, ENCODED));
            }
        }
        Ok(())
    }

    /// What the engine made: values are encoded and stand between marks.
    fn marked(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once(MARK_BEGIN) {
            self.literal(literal)?;
            let (value, after) = after.split_once(MARK_END).unwrap_or((after, ""));
            self.value(&percent_decode_str(value).decode_utf8_lossy())?;
            rest = after;
        }
        self.literal(rest)
    }

    /// A value that is a URL goes on only as a path: after a query or a fragment the text would mean something else than it says.
    fn end_of_value(&mut self, next: &str) -> Result<(), String> {
        if self.out.contains(['?', '#']) {
            return Err("the value at the URL's beginning has a query or a fragment, so nothing can follow it".to_owned());
        }
        if !next.starts_with(['/', '?']) {
            return Err("after a value that is a URL comes a `/` or a `?`".to_owned());
        }
        if next.starts_with('/') {
            self.out.truncate(self.out.trim_end_matches('/').len());
        }
        self.begin_segment(At::Path);
        Ok(())
    }

    fn begin_segment(&mut self, at: At) {
        self.at = at;
        self.segment = self.out.len() + 1;
        self.filled = false;
    }

    /// `.` and `..` are not segments but ways to others, however they are encoded.
    fn end_segment(&self) -> Result<(), String> {
        let segment = self.out.get(self.segment..).unwrap_or_default();
        if self.filled && matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | "..") {
            return Err(format!("a value makes `{segment}` of a segment of the path, which would lead to another path"));
        }
        Ok(())
    }

    fn end(self) -> Result<String, String> {
        match self.at {
            At::Start => Err("the URL is empty".to_owned()),
            At::Path => self.end_segment().map(|()| self.out),
            _ => Ok(self.out),
        }
    }
}
