//! How many templates a document may have: each is kept taken apart for as long as its definition is, and filled in for each request.

use serde_json::Value;
use snaphook_model::request::has_template;
use snaphook_model::{Fault, Invalid};

/// Texts with templates in one document. A request of a hundred fields in each of twenty steps has as many; what has more is data, which belongs
/// into the payload. Of the dearest kind they take some twenty-five megabytes together.
pub(crate) const MAX_TEMPLATES: u32 = 2000;

/// Counts them while a document is checked.
#[derive(Debug, Default)]
pub(crate) struct TemplateCount(u32);

impl TemplateCount {
    /// Counts those in a value, keys too; `path` is its place in the document.
    ///
    /// # Errors
    /// `invalid` with the path of the first that is one too many.
    pub(crate) fn add(&mut self, path: &str, value: &Value) -> Result<(), Fault> {
        let Some(below) = self.walk(value) else { return Ok(()) };
        let place = format!("{path}{below}");
        let detail = format!(
            "a document has at most {MAX_TEMPLATES} texts with templates, and this is one more; give a list or an object whole, as in `{{{{ payload.items }}}}`, or make it in a script step"
        );
        Err(Fault::from(Invalid::new(place.trim_start_matches('.'), detail)).of_limit(MAX_TEMPLATES.into(), None))
    }

    /// The way to the one that is too many.
    fn walk(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(list) => list.iter().enumerate().find_map(|(i, item)| self.walk(item).map(|below| format!("[{i}]{below}"))),
            Value::Object(map) => map.iter().find_map(|(key, item)| {
                let below = self.text(key).or_else(|| self.walk(item))?;
                Some(format!(".{key}{below}"))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    fn text(&mut self, text: &str) -> Option<String> {
        self.0 += u32::from(has_template(text));
        (self.0 > MAX_TEMPLATES).then(String::new)
    }
}
