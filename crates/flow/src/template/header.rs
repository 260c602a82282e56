//! Headers with templates: a value can neither end its header nor begin another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use snaphook_model::connector::is_framing_header;
use snaphook_model::request::has_template;
use snaphook_model::{Fault, Headers, PLACEHOLDER, SecretName};

use super::engine::Place;
use super::text::Field;
use super::values::{Needs, Values};

/// What stands before the credentials of Basic authentication, which are sent in base64.
const BASIC: &str = "Basic ";

/// One header.
#[derive(Debug)]
pub(super) struct HeaderTemplate {
    name: Field,
    value: Field,
    /// The value is `Basic` and credentials in plain.
    basic: bool,
}

impl HeaderTemplate {
    /// Reads a header; `path` is that of its headers.
    pub(super) fn read(path: &str, name: &str, value: &str, needs: &mut Needs) -> Result<Self, Fault> {
        let path = format!("{path}.{name}");
        let name = Field::read(&path, name, Place::Text, needs)?;
        let value_field = Field::read(&path, value, Place::Text, needs)?;
        let literal_basic = basic_in_plain(value);
        Ok(Self { basic: value.starts_with(BASIC) && (literal_basic || !value_field.text.is_literal()), name, value: value_field })
    }

    /// Name and value for these values.
    pub(super) fn render(&self, values: &Values) -> Result<(String, String), Fault> {
        let name = self.name.render(values)?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            return Err(self.name.refuse("the template became no header name: letters, digits and `-` make one"));
        }
        if is_framing_header(&name) {
            return Err(self.name.refuse(format!("the template became `{name}`, which is set by the node itself")));
        }
        let value = self.value.render(values)?;
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(self.value.refuse("the template became a header with a line break or another control character"));
        }
        let is_authorization = name.eq_ignore_ascii_case("authorization");
        // A placeholder is put into plain text, and what becomes of it is encoded where it is put in.
        let value = if self.basic && is_authorization && !value.contains(PLACEHOLDER) { encoded_basic(&value) } else { value.into_owned() };
        Ok((name.to_ascii_lowercase(), value))
    }
}

/// A connector's headers by themselves, for a request that no document writes out.
#[derive(Debug)]
pub(crate) struct OwnHeaders {
    literal: Headers,
    templates: Option<Vec<HeaderTemplate>>,
    secrets: Vec<SecretName>,
}

impl OwnHeaders {
    /// Secrets that they name.
    pub(crate) fn secrets(&self) -> Vec<SecretName> {
        self.secrets.clone()
    }

    /// Reads headers as those of an endpoint are read.
    ///
    /// # Errors
    /// `invalid` with path, line and column where a template is none.
    pub(crate) fn read<'h>(headers: impl Iterator<Item = (&'h String, &'h String)>) -> Result<Self, Fault> {
        let mut needs = Needs::default();
        let (literal, templates) = read_headers(&[("headers".to_owned(), headers.collect())], &mut needs)?;
        Ok(Self { literal, templates, secrets: needs.secrets.into_iter().collect() })
    }

    /// The headers for these values.
    ///
    /// # Errors
    /// `template` and `template-limit`, with the header's path.
    pub(crate) fn render(&self, values: &Values) -> Result<Headers, Fault> {
        let Some(templates) = &self.templates else { return Ok(self.literal.clone()) };
        templates.iter().map(|header| header.render(values)).collect::<Result<_, _>>().map(Headers)
    }
}

/// Whether a value is Basic authentication as people write it: base64 holds no colon, and credentials always do.
fn basic_in_plain(value: &str) -> bool {
    value.strip_prefix(BASIC).is_some_and(|rest| rest.contains(':'))
}

/// The same as it is sent.
fn encoded_basic(value: &str) -> String {
    let credentials = value.strip_prefix(BASIC).unwrap_or(value);
    format!("{BASIC}{}", STANDARD.encode(credentials))
}

/// The literal headers, or the templates that make them; one template makes all of them templates, so that they keep their order.
pub(super) fn read_headers(
    maps: &[(String, Vec<(&String, &String)>)],
    needs: &mut Needs,
) -> Result<(Headers, Option<Vec<HeaderTemplate>>), Fault> {
    let all = || maps.iter().flat_map(|(path, map)| map.iter().map(move |(name, value)| (path, *name, *value)));
    if all().any(|(_, name, value)| has_template(name) || has_template(value)) {
        let templates = all().map(|(path, name, value)| HeaderTemplate::read(path, name, value, needs)).collect::<Result<_, _>>()?;
        return Ok((Headers::default(), Some(templates)));
    }
    let value_of = |name: &str, value: &str| {
        let plain = name.eq_ignore_ascii_case("authorization") && basic_in_plain(value);
        if plain { encoded_basic(value) } else { value.to_owned() }
    };
    Ok((all().map(|(_, name, value)| (name.to_ascii_lowercase(), value_of(name, value))).collect(), None))
}
