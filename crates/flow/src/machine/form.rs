//! Forms with files: which fields a request sends, and under which name a response is kept.

use serde_json::{Map, Value};
use snaphook_model::HttpRequest;

/// What of a call's definition is about files of its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePlan {
    /// Sent as fields of a form: field to name. The request's data are text fields before them.
    pub sent: Vec<(String, String)>,
    /// The response is kept under this name.
    pub save_as: Option<String>,
}

/// The form that one request sends in place of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Field to text.
    pub texts: Vec<(String, String)>,
    /// Field to the name of a saved file.
    pub files: Vec<(String, String)>,
}

impl FilePlan {
    /// Takes the body's place, where files are sent: nobody else has a say in how a form is framed.
    pub(super) fn form(&self, request: &mut HttpRequest) -> Option<Form> {
        if self.sent.is_empty() {
            return None;
        }
        let data: Value = serde_json::from_slice(&std::mem::take(&mut request.body)).unwrap_or_default();
        request.headers.remove("content-type");
        let texts = data.as_object().map(fields).unwrap_or_default();
        Some(Form { texts, files: self.sent.clone() })
    }
}

/// An object as fields: each item of a list is a field of the list's name, and what has parts of its own is JSON text.
pub(super) fn fields(data: &Map<String, Value>) -> Vec<(String, String)> {
    let mut fields = Vec::with_capacity(data.len());
    for (name, value) in data {
        match value {
            Value::Array(list) => fields.extend(list.iter().map(|value| (name.clone(), text(value)))),
            value => fields.push((name.clone(), text(value))),
        }
    }
    fields
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
