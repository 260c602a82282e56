//! What of a request is about files of its run: the form that sends them, and the name under which a response is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use snaphook_model::{Code, Encode, Fault, HttpRequest};

use super::engine::Place;
use super::json;
use super::text::{Field, Text};
use super::values::{Needs, Values};
use crate::files::check_name;
use crate::multipart::{Content, Multipart, Part};

/// The part of a definition that is about files. By default it is about none.
#[derive(Debug, Default)]
pub struct FilePlan {
    /// Whether data go out as a form of several parts.
    multipart: bool,
    /// Sent as fields of that form: field to name.
    sent: Vec<(String, Field)>,
    /// The response is kept under this name.
    save_as: Option<Field>,
    needs: Needs,
}

/// The same for one request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilledFiles {
    /// Sent in place of a body.
    pub form: Option<Form>,
    /// The response is kept under this name.
    pub save_as: Option<String>,
}

/// A form with files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Field to text.
    pub texts: Vec<(String, String)>,
    /// Field to the name of a saved file.
    pub files: Vec<(String, String)>,
}

impl FilePlan {
    /// Reads what a document says: `path` is the place of `files`, and `save_as` comes with its own.
    ///
    /// # Errors
    /// `invalid` with path, line and column where a template is none.
    pub(crate) fn read(
        path: &str,
        sent: &BTreeMap<String, String>,
        encode: Option<Encode>,
        save_as: Option<(&str, &str)>,
    ) -> Result<Self, Fault> {
        let mut needs = Needs::default();
        let mut read = |path: &str, text: &str| Field::read(path, text, Place::Text, &mut needs);
        let sent: Vec<_> =
            sent.iter().map(|(field, name)| Ok((field.clone(), read(&format!("{path}.{field}"), name)?))).collect::<Result<_, Fault>>()?;
        let save_as = save_as.map(|(path, name)| read(path, name)).transpose()?;
        Ok(Self { multipart: !sent.is_empty() || encode == Some(Encode::Multipart), sent, save_as, needs })
    }

    /// Whether a name is filled in for each request.
    pub(crate) fn has_templates(&self) -> bool {
        self.sent.iter().map(|(_, name)| name).chain(&self.save_as).any(|name| !name.text.is_literal())
    }

    /// What its templates look at.
    pub(crate) fn needs(&self) -> Needs {
        self.needs.clone()
    }

    /// Takes the data out of a request where they are part of a form; one without files becomes the request's body at once. A form says
    /// itself what it is, whatever headers say. Without `values` every name is as it is written.
    ///
    /// # Errors
    /// `template`, where a name or the data became something that they cannot be; `template-limit`.
    pub(crate) fn fill(&self, request: &mut HttpRequest, values: Option<&Values>) -> Result<FilledFiles, Fault> {
        let save_as = self.save_as.as_ref().map(|name| filled(name, values)).transpose()?;
        if !self.multipart {
            return Ok(FilledFiles { form: None, save_as });
        }
        let body = std::mem::take(&mut request.body);
        request.headers.remove("content-type");
        let texts = if body.is_empty() { Vec::new() } else { texts(&body)? };
        if self.sent.is_empty() {
            let parts: Vec<_> = texts.iter().map(|(field, text)| Part { field, content: Content::Text(text) }).collect();
            let form = Multipart::new(&parts);
            request.headers.set("content-type", form.content_type.as_str());
            request.body = form.shown.into();
            return Ok(FilledFiles { form: None, save_as });
        }
        let files = self.sent.iter().map(|(field, name)| Ok((field.clone(), filled(name, values)?))).collect::<Result<_, Fault>>()?;
        Ok(FilledFiles { form: Some(Form { texts, files }), save_as })
    }
}

/// A name for these values.
fn filled(name: &Field, values: Option<&Values>) -> Result<String, Fault> {
    let text: Cow<'_, str> = match (values, &name.text) {
        (Some(values), _) => name.render(values)?,
        (None, Text::Literal(text)) => Cow::Borrowed(text),
        (None, Text::Parts(_) | Text::Program(_)) => return Err(Fault::new(Code::Internal, "a name was not filled in")),
    };
    check_name(&text).map_err(|wrong| name.refuse(wrong))?;
    Ok(text.into_owned())
}

/// Data as text fields: as of any form, a list repeats its name, null is left out, and an object inside is its JSON text.
fn texts(body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let entries = json::entries(text).ok_or_else(|| {
        Fault::new(Code::Template, "the data became something else than an object, which a form is made of").in_field("data")
    })?;
    let mut texts = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let value = value.get();
        let items = json::items(value);
        let values = items.as_ref().map_or_else(|| vec![value], |items| items.iter().map(|item| item.get()).collect());
        texts.extend(values.into_iter().filter(|value| *value != "null").map(|value| (name.clone(), json::as_text(value).into_owned())));
    }
    Ok(texts)
}
