//! What documents may say of files: names under which responses are kept, and fields in which they are sent.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::connector::HookBindings;
use crate::request::has_template;
use crate::{Hook, Invalid};

/// Why `pre-request` has no place where files are sent. They go from disk to the upstream, and no script can be shown them.
pub const NO_SCRIPT_BESIDE_FILES: &str = "no pre-request script can be bound where `files` are sent: they go out from disk as they are; use a `pre-hook`, or send them in a step of its own";

/// Fields of one request. More of them are a list, which belongs into an archive.
const MAX_FIELDS: usize = 32;

/// Checks `files`, and what stands beside them.
pub(crate) fn check_files(path: &str, files: &BTreeMap<String, String>, data: Option<&Value>, hooks: &HookBindings) -> Result<(), Invalid> {
    if files.is_empty() {
        return Ok(());
    }
    if files.len() > MAX_FIELDS {
        return Err(Invalid::new(format!("{path}.files"), format!("holds {} fields; at most {MAX_FIELDS}", files.len())));
    }
    for (field, name) in files {
        if field.is_empty() || field.chars().any(char::is_control) {
            return Err(Invalid::new(
                format!("{path}.files.{}", field.escape_debug()),
                "is no name of a field: it is empty or holds control characters",
            ));
        }
        check_saved_name(&format!("{path}.files.{field}"), name)?;
    }
    check_no_script(&format!("{path}.hooks"), hooks)?;
    match data {
        Some(Value::Object(_)) | None => Ok(()),
        Some(Value::String(text)) if has_template(text) => Ok(()),
        Some(_) => {
            Err(Invalid::new(format!("{path}.data"), "must be an object beside `files`: each of its keys is a text field of the form"))
        }
    }
}

/// Refuses scripts where files are sent.
pub(crate) fn check_no_script(path: &str, hooks: &HookBindings) -> Result<(), Invalid> {
    match hooks.of(Hook::PreRequest) {
        [] => Ok(()),
        _ => Err(Invalid::new(format!("{path}.{}", Hook::PreRequest), NO_SCRIPT_BESIDE_FILES)),
    }
}

/// Checks a name under which a response is kept, or was.
pub(crate) fn check_saved_name(path: &str, name: &str) -> Result<(), Invalid> {
    // What a template makes of it is checked when it is filled in.
    if !has_template(name) && (name.is_empty() || name.len() > 255 || name.chars().any(char::is_control)) {
        return Err(Invalid::new(path, "must be 1 to 255 bytes long and hold no control characters"));
    }
    Ok(())
}
