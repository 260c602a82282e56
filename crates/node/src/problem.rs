//! Failures of a command as a person sees them, with the source and the place marked where there is one.

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode, SourceOffset};
use serde_json::{Value, json};
use snaphook_model::strict::NotStrict;
use snaphook_model::{Origin, PlaceOf};

use crate::exit::Exit;

/// A problem document of a node.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) path: Option<String>,
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    /// The file that it is really about.
    pub(crate) origin: Option<Origin>,
    pub(crate) request_id: Option<String>,
}

impl Problem {
    /// About a document that no node has seen, with the path to what is wrong, and where that stands.
    pub(crate) fn invalid(detail: String, path: Option<String>, place: Option<(usize, usize)>) -> Self {
        let (line, column) = place.unzip();
        let path = path.filter(|path| !path.is_empty());
        Self { status: 400, code: "invalid".to_owned(), detail, path, line, column, origin: None, request_id: None }
    }

    /// Reads an answer that is no success; one without a problem document keeps its status and text.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let text = |key: &str| document[key].as_str().map(str::to_owned);
        let number = |key: &str| document[key].as_u64().and_then(|n| usize::try_from(n).ok());
        let fallback = || String::from_utf8_lossy(body).chars().take(500).collect();
        Self {
            status,
            code: text("code").unwrap_or_else(|| format!("http-{status}")),
            detail: text("detail").or_else(|| text("title")).or_else(|| text("status_message")).unwrap_or_else(fallback),
            path: text("path"),
            line: number("line"),
            column: number("column"),
            origin: serde_json::from_value(document["origin"].clone()).ok(),
            request_id: text("request_id"),
        }
    }
}

impl From<NotStrict> for Problem {
    fn from(NotStrict { path, detail, line, column }: NotStrict) -> Self {
        Self::invalid(detail, path, Some((line, column)))
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("{0}")]
    Usage(String),
    #[error("no node answers at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{}: {}", .0.code, .0.detail)]
    Node(Box<Problem>),
    #[error(transparent)]
    InFile(Box<InFile>),
    /// The same in the configuration file.
    #[error(transparent)]
    Configuration(Box<InFile>),
    #[error("{what}: {source}")]
    File { what: String, source: std::io::Error },
    #[error("{0}")]
    Start(String),
    /// A script that is not fit to be uploaded.
    #[error("{script}: {detail}")]
    Script { script: String, detail: String },
    /// The command ran, and what it shows is not as one would have it: a replay that differs, a case that failed.
    #[error("{0}")]
    NotAsExpected(String),
    /// Everything was reported already.
    #[error("{failed} of {total} could not be deployed")]
    Deploy { failed: usize, total: usize },
    /// The same.
    #[error("{left} of {total} keys were left out; each says above why, and what to do")]
    LeftOut { left: usize, total: usize },
}

impl CliError {
    /// Whether the node may answer when it is asked again: it is away, is stopping, or has too much to do.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Node(problem) => matches!(problem.status, 429 | 500..),
            _ => false,
        }
    }

    /// How the command ends for it.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Configuration(_) => Exit::Usage,
            Self::LeftOut { .. } | Self::NotAsExpected(_) => Exit::NotAsExpected,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Node(_) | Self::InFile(_) | Self::File { .. } | Self::Start(_) | Self::Script { .. } | Self::Deploy { .. } => {
                Exit::Failed
            }
        }
    }
}

impl CliError {
    /// For programs: what is wrong, and where in which file.
    pub(crate) fn json(&self) -> Value {
        let problem = |problem: &Problem, file: Option<&str>| {
            let Problem { code, detail, path, line, column, .. } = problem;
            json!({"code": code, "detail": detail, "file": file, "path": path, "line": line, "column": column})
        };
        match self {
            Self::Node(inner) => problem(inner, None),
            Self::InFile(inner) | Self::Configuration(inner) => problem(&inner.problem, Some(inner.source.name())),
            other => json!({"detail": other.to_string()}),
        }
    }
}

impl Diagnostic for CliError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        match self {
            Self::Unreachable { .. } => Some(Box::new("start one with `snaphook dev` or `snaphook serve`, or name another with --url")),
            Self::Node(problem) => Some(Box::new(help(problem))),
            Self::InFile(inner) => inner.help(),
            Self::Configuration(_) => Some(Box::new("`snaphook serve --help` has every setting; in the file, dashes are underscores")),
            _ => None,
        }
    }

    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        match self {
            Self::InFile(inner) => inner.code(),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self {
            Self::InFile(inner) | Self::Configuration(inner) => inner.labels(),
            _ => None,
        }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            Self::InFile(inner) | Self::Configuration(inner) => inner.source_code(),
            _ => None,
        }
    }

    fn severity(&self) -> Option<Severity> {
        None
    }
}

fn help(problem: &Problem) -> String {
    let mut parts = Vec::new();
    if let Some(path) = &problem.path {
        parts.push(format!("at {path}"));
    }
    if let Some(code) = snaphook_model::Code::parse(&problem.code) {
        parts.push(code.help().to_owned());
    }
    if let Some(id) = &problem.request_id {
        parts.push(format!("(status {}, request {id})", problem.status));
    }
    parts.join("\n")
}

/// A problem with a file that was deployed, shown as a compiler shows it.
#[derive(Debug)]
pub(crate) struct InFile {
    problem: Problem,
    source: NamedSource<String>,
    offset: Option<usize>,
    /// Where it was reached from, when the file is not the one that was deployed.
    from: Option<String>,
}

impl InFile {
    /// A problem with a text: at the place that it names itself, else at what its path leads to, else without a place.
    pub(crate) fn new(problem: Problem, file: &str, text: String) -> Self {
        // A file may have been changed since it was read.
        let has = |(line, column): &(usize, usize)| text.lines().nth(line.saturating_sub(1)).is_some_and(|text| *column <= text.len() + 1);
        let by_path = || problem.path.as_deref().filter(|_| problem.origin.is_none()).and_then(|path| place_in(&text, path));
        let place = problem.line.zip(problem.column).filter(has).or_else(by_path);
        let offset = place.map(|(line, column)| SourceOffset::from_location(&text, line, column).offset());
        Self { problem, source: NamedSource::new(file, text), offset, from: None }
    }

    /// The same of a text that was not sent as it is: places in what was sent are none of its own.
    pub(crate) fn by_path(problem: Problem, file: &str, text: String) -> Self {
        Self::new(Problem { line: None, column: None, ..problem }, file, text)
    }

    /// The same problem in the file that it is really about; `deployed` is the file that was deployed.
    pub(crate) fn in_origin(mut problem: Problem, origin: &Origin, file: &str, text: String, deployed: &str) -> Self {
        let from = problem.line.zip(problem.column).map(|(line, column)| format!("reached from {deployed}:{line}:{column}"));
        problem.line = usize::try_from(origin.line).ok();
        problem.column = usize::try_from(origin.column).ok();
        Self { from, ..Self::new(problem, file, text) }
    }
}

/// Line and column of what a path names in a document, JSON or YAML.
pub(crate) fn place_in(text: &str, path: &str) -> Option<(usize, usize)> {
    let place_of = PlaceOf::path(path);
    place_of.in_json(text.as_bytes()).or_else(|| place_of.in_yaml(text.as_bytes()))
}

impl std::fmt::Display for InFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem.detail)
    }
}

impl std::error::Error for InFile {}

impl Diagnostic for InFile {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.problem.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let from = self.from.iter().cloned();
        Some(Box::new(from.chain([help(&self.problem)]).collect::<Vec<_>>().join("\n")))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = LabeledSpan::at_offset(self.offset?, "here");
        Some(Box::new(std::iter::once(span)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }
}

/// An error with its causes, since the outermost one often says only that something failed.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "steps:\n- url: foo\n  data: {bar: foo}\n- foo: bar\n";

    fn offset(path: &str, place: Option<(usize, usize)>) -> Option<usize> {
        InFile::new(Problem::invalid("wrong".to_owned(), Some(path.to_owned()), place), "a.yaml", YAML.to_owned()).offset
    }

    #[test]
    fn a_problem_is_shown_at_its_place_or_at_none() {
        assert_eq!(offset("steps[1].foo", None), YAML.find("foo: bar"));
        assert_eq!(offset("steps[0].data.bar", None), YAML.find("bar: foo"));
        // Names that stand somewhere else are not what is meant.
        for path in ["steps[0].foo", "foo", "steps[0].bar", "steps[2].foo", ""] {
            assert_eq!(offset(path, None), None, "{path}");
        }
        assert_eq!(offset("steps[0].foo", Some((2, 3))), YAML.find("url"));
        // A text that has become shorter since has no such place.
        assert_eq!(offset("steps[1].foo", Some((9, 1))), YAML.find("foo: bar"));
        assert_eq!(offset("", Some((2, 900))), None);
    }

    #[test]
    fn places_in_another_text_do_not_count() {
        let problem = Problem::invalid("wrong".to_owned(), Some("steps[1].foo".to_owned()), Some((1, 2)));
        assert_eq!(InFile::by_path(problem, "a.yaml", YAML.to_owned()).offset, YAML.find("foo: bar"));
    }
}
