//! Headers with templates: a value can neither end its header nor begin another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use snaphook_model::Fault;
use snaphook_model::connector::is_framing_header;

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
        let value = if self.basic && is_authorization { encoded_basic(&value) } else { value.into_owned() };
        Ok((name.to_ascii_lowercase(), value))
    }
}

/// Whether a value is Basic authentication as people write it: base64 holds no colon, and credentials always do.
pub(crate) fn basic_in_plain(value: &str) -> bool {
    value.strip_prefix(BASIC).is_some_and(|rest| rest.contains(':'))
}

/// The same as it is sent.
pub(crate) fn encoded_basic(value: &str) -> String {
    let credentials = value.strip_prefix(BASIC).unwrap_or(value);
    format!("{BASIC}{}", STANDARD.encode(credentials))
}
