//! Files of cases, read and checked; what is wrong is named with its path and its place in the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use snaphook_model::{Hook, strict};

use crate::problem::{CliError, InFile, Problem, place_in};

/// A file of cases.
pub(super) struct CaseFile {
    pub(super) path: PathBuf,
    /// As the person named it.
    pub(super) shown: String,
    pub(super) cases: Vec<Case>,
    text: String,
    script: Option<String>,
    hook: Option<Hook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Of cases that name none themselves.
    script: Option<String>,
    hook: Option<Hook>,
    cases: Vec<Case>,
}

/// One invocation, and what must come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) script: Option<String>,
    hook: Option<Hook>,
    /// As the test run of the API takes it, without `hook`.
    #[serde(default)]
    pub(super) input: Map<String, Value>,
    pub(super) expect: Expect,
}

/// What must come of a case. What is absent is not looked at, but a fault that nobody expects fails the case.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// Some of its members: `kind`, `message`, `status`, `reason_code`.
    pub(super) decision: Option<Map<String, Value>>,
    /// Exactly.
    #[serde(default, deserialize_with = "given")]
    pub(super) payload: Option<Value>,
    /// Exactly.
    #[serde(default, deserialize_with = "given")]
    pub(super) arguments: Option<Value>,
    /// Each member that is named, exactly.
    pub(super) request: Option<Map<String, Value>>,
    /// Likewise.
    pub(super) response: Option<Map<String, Value>>,
    /// Exactly what was written.
    pub(super) variables: Option<Map<String, Value>>,
    /// Likewise.
    pub(super) meta: Option<Map<String, Value>>,
    /// Likewise, under `flow` and `tenant`.
    pub(super) state: Option<Map<String, Value>>,
    /// All lines in order; a text is a message of any level.
    pub(super) logs: Option<Vec<Log>>,
    /// Some of its members: `code`, `detail`, `line`, `column`.
    pub(super) fault: Option<Map<String, Value>>,
}

/// A line of the log.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Log {
    Message(String),
    Entry(LogEntry),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogEntry {
    pub(super) level: Option<String>,
    pub(super) message: Option<String>,
}

/// Whether a file's name says that it holds cases.
pub(super) fn is_case_file(path: &Path) -> bool {
    matches!(path.extension().and_then(|extension| extension.to_str()), Some("yaml" | "yml" | "json"))
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<CaseFile, CliError> {
    let shown = path.display().to_string();
    if !is_case_file(path) {
        return Err(CliError::Usage(format!("{shown} is no file of cases: .yaml, .yml or .json; to test a script by name, add --hook")));
    }
    let text = std::fs::read_to_string(path).map_err(|source| CliError::File { what: format!("cannot read {shown}"), source })?;
    let yaml = path.extension().is_none_or(|extension| extension != "json");
    let Document { script, hook, cases } = match document(&text, yaml) {
        Ok(document) => document,
        Err(problem) => return Err(CliError::InFile(Box::new(InFile::new(*problem, &shown, text)))),
    };
    let file = CaseFile { path: path.to_owned(), shown, cases, text, script, hook };
    file.check()?;
    Ok(file)
}

/// What a file says, read as a node reads documents: with every digit, or not at all.
fn document(text: &str, yaml: bool) -> Result<Document, Box<Problem>> {
    let read = if yaml { strict::from_yaml(text.as_bytes()) } else { strict::from_json(text.as_bytes()) };
    let document = read.map_err(|error| Box::new(Problem::from(error)))?;
    serde_path_to_error::deserialize(document).map_err(|error| problem(error.path().to_string(), error.inner().to_string()))
}

/// Its place is what the path leads to.
fn problem(path: String, detail: String) -> Box<Problem> {
    Box::new(Problem::invalid(detail, Some(path).filter(|path| path != "." && path != "?"), None))
}

impl CaseFile {
    /// The hook that a case runs.
    pub(super) fn hook_of(&self, index: usize, case: &Case) -> Result<&'static str, CliError> {
        let missing = || self.wrong(index, "hook", "the case names no hook, and neither does the file");
        case.hook.or(self.hook).map(Hook::as_str).ok_or_else(missing)
    }

    /// The script that a case tests, as it is written.
    pub(super) fn script_of<'a>(&'a self, index: usize, case: &'a Case) -> Result<&'a str, CliError> {
        let missing = || self.wrong(index, "script", "the case names no script, and neither does the file");
        case.script.as_deref().or(self.script.as_deref()).ok_or_else(missing)
    }

    /// An error of a case.
    pub(super) fn wrong(&self, index: usize, field: &str, detail: &str) -> CliError {
        self.in_case(index, field, *problem(String::new(), detail.to_owned()))
    }

    /// A problem about a field of a case, with the place where that stands, or the case's name where it does not stand there.
    pub(super) fn in_case(&self, index: usize, field: &str, mut problem: Problem) -> CliError {
        let dot = if field.is_empty() { "" } else { "." };
        let path = format!("cases[{index}]{dot}{field}");
        let place = place_in(&self.text, &path).or_else(|| place_in(&self.text, &format!("cases[{index}].name")));
        (problem.line, problem.column) = place.unzip();
        problem.path = Some(path);
        CliError::InFile(Box::new(InFile::new(problem, &self.shown, self.text.clone())))
    }

    fn check(&self) -> Result<(), CliError> {
        if self.cases.is_empty() {
            return Err(CliError::Usage(format!("{} holds no cases", self.shown)));
        }
        let mut names = BTreeSet::new();
        for (index, case) in self.cases.iter().enumerate() {
            if !names.insert(&case.name) {
                return Err(self.wrong(index, "name", "another case of this file has the same name"));
            }
            if case.input.contains_key("hook") {
                return Err(self.wrong(index, "input.hook", "the hook stands beside `input`"));
            }
            if case.expect.is_empty() {
                return Err(self.wrong(
                    index,
                    "expect",
                    "expects nothing, so it cannot fail; name a decision, what it makes, logs or a fault",
                ));
            }
            self.hook_of(index, case)?;
            self.script_of(index, case)?;
        }
        Ok(())
    }
}

impl Expect {
    fn is_empty(&self) -> bool {
        let maps = [&self.decision, &self.request, &self.response, &self.variables, &self.meta, &self.fault];
        maps.into_iter().all(Option::is_none) && self.payload.is_none() && self.arguments.is_none() && self.logs.is_none()
    }
}

/// Tells `null` from nothing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let error = read(&path).err().expect("it is wrong");
        let rendered = format!("{:?}", miette::Report::new(error));
        // The frame of the picture differs with the terminal, its words do not.
        rendered.replace(&folder.path().display().to_string(), "")
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path_and_place() {
        let yaml = "hook: step\nscript: a@1\ncases:\n  - name: one\n    inptu: {}\n    expect: {payload: 1}\n";
        let shown = wrong("a.yaml", yaml);
        assert!(shown.contains("unknown field `inptu`") && shown.contains("cases[0]") && shown.contains("a.yaml:5:"), "{shown}");
        let json = "{\n  \"hook\": \"step\", \"script\": \"a@1\",\n  \"cases\": [{\"name\": \"one\", \"expect\": {\"payloda\": 1}}]\n}";
        let shown = wrong("a.json", json);
        assert!(shown.contains("unknown field `payloda`") && shown.contains("cases[0].expect") && shown.contains("a.json:3:"), "{shown}");
        for (text, words, path) in [
            ("cases: [{name: one, expect: {payload: 1}}]", "names no hook", "cases[0].hook"),
            ("hook: step\ncases: [{name: one, expect: {payload: 1}}]", "names no script", "cases[0].script"),
            ("{hook: step, script: a@1, cases: [{name: one, expect: {}}]}", "cannot fail", "cases[0].expect"),
            (
                "{hook: step, script: a@1, cases: [{name: one, expect: {payload: 1}}, {name: one, expect: {payload: 1}}]}",
                "same name",
                "cases[1].name",
            ),
            ("{hook: stop, script: a@1, cases: []}", "`stop` is no hook", "hook"),
            ("{hook: step, script: a@1, cases: [{name: one, input: {hook: step}, expect: {payload: 1}}]}", "beside", "cases[0].input.hook"),
        ] {
            let shown = wrong("a.yml", text);
            assert!(shown.contains(words) && shown.contains(path), "{text}:\n{shown}");
        }
    }

    #[test]
    fn no_digit_is_lost() {
        for (name, text, place) in [
            (
                "a.yaml",
                "hook: step\nscript: a@1\ncases:\n- name: one\n  expect:\n    payload: [1, 0.12345678901234567890]\n",
                "a.yaml:6:18",
            ),
            ("a.yaml", "hook: step\nscript: a@1\ncases:\n- name: one\n  expect: {payload: 18446744073709551617}\n", "a.yaml:5:21"),
            (
                "a.json",
                "{\"hook\": \"step\", \"script\": \"a@1\",\n\"cases\": [{\"name\": \"one\", \"expect\": {\"payload\": 9007199254740993.0}}]}",
                "a.json:2:",
            ),
            ("a.json", "{\"hook\": \"step\", \"script\": \"a@1\",\n\"cases\": [{\"name\": \"one\", \"name\": \"two\"}]}", "a.json:2:"),
        ] {
            let shown = wrong(name, text);
            assert!(shown.contains(place) && (shown.contains("more digits") || shown.contains("twice")), "{shown}");
        }
    }

    #[test]
    fn null_is_something_to_expect() {
        let document =
            document("{cases: [{name: a, expect: {payload: null}}, {name: b, expect: {logs: [x, {level: warn}]}}]}", true).unwrap();
        assert_eq!(document.cases[0].expect.payload, Some(Value::Null));
        assert_eq!(document.cases[1].expect.payload, None);
        assert_eq!(document.cases[1].expect.logs.as_ref().unwrap().len(), 2);
    }
}
