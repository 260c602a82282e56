//! Pages of the documentation as the tests see them: fenced blocks with what is to be done with each, links, and what links may point at.
//!
//! A block says what it is behind its language, in words that no reader sees: `sh run`, `ts script=stamp hooks=pre-hook`, `sh skip=build`. [`How`]
//! has them all. A block that says nothing is an error, so that none is left out by accident. What a page takes for granted stands in a comment of it,
//! `<!--` and `-->`, which is read like the page.

use std::collections::BTreeSet;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Why a block is not run, beside the words for it. There is no "too long" and no "too hard" among them.
pub const REASONS: [(&str, &str); 5] = [
    ("build", "compiles for minutes, and is what brought the tests here"),
    ("cluster", "needs several machines; `tests/it` has the same with several nodes on this one"),
    ("machine", "changes the machine: packages, system services, root's files"),
    ("elsewhere", "asks a third party's service on the internet, or shows another product's files"),
    ("placeholder", "stands for what each reader has: names of machines, keys, ids"),
];

/// One page.
pub struct Page {
    /// Path from the repository's root, such as `docs/runs.md`.
    pub name: String,
    /// In the order of the page.
    pub blocks: Vec<Block>,
    /// Where its links lead, as written.
    pub links: Vec<String>,
    /// What a link to a heading of the page may say behind `#`.
    pub anchors: BTreeSet<String>,
    /// Blocks that do not say what they are, each with its place.
    pub problems: Vec<String>,
}

/// One fenced block.
pub struct Block {
    /// `PAGE:LINE`, for messages.
    pub place: String,
    /// The last heading above it.
    pub section: String,
    /// `sh`, `ts`, `json` …
    pub language: String,
    pub text: String,
    pub how: How,
}

/// What a test does with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// `run`, `run exit=3`: commands, in the page's folder; all of them succeed, or the block ends with that code.
    Run { exit: u8 },
    /// `terminal`: a command that goes on in a terminal of its own until the page ends.
    Terminal,
    /// `output`: what the block before it prints. `…` stands for any text, and alone on a line for any lines.
    Output,
    /// `file=PATH`: written into the page's folder.
    File(String),
    /// `script=NAME`, also with `dialect=` and `hooks=A,B`: uploaded; the hooks must be these.
    Script { name: String, dialect: String, hooks: Option<String> },
    /// `connector=NAME`, `flow=NAME`, `connection=NAME`, `secret=NAME`, `tenant=NAME`: stored.
    Document { kind: &'static str, name: String },
    /// `answer`: JSON that the node gives; it is well-formed.
    Answer,
    /// `from=PATH`: these lines stand in that file, which is compiled or tested.
    From(String),
    /// `picture`: drawn with letters.
    Picture,
    /// `skip=REASON`, one of [`REASONS`].
    Skip(&'static str),
}

impl How {
    /// One word for it, for counts.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Run { .. } => "run".to_owned(),
            Self::Terminal => "terminal".to_owned(),
            Self::Output => "output".to_owned(),
            Self::File(_) => "file".to_owned(),
            Self::Script { .. } => "script".to_owned(),
            Self::Document { kind, .. } => (*kind).to_owned(),
            Self::Answer => "answer".to_owned(),
            Self::From(_) => "from".to_owned(),
            Self::Picture => "picture".to_owned(),
            Self::Skip(reason) => format!("skip={reason}"),
        }
    }

    /// What the words behind a language say.
    fn read(words: &[&str]) -> Result<Self, String> {
        let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned);
        let first = words.first().ok_or("says nothing about itself; see `How` in tests/src/pages.rs")?;
        let (key, named) = first.split_once('=').map_or((*first, None), |(key, named)| (key, Some(named.to_owned())));
        let document = |kind| named.clone().map(|name| Self::Document { kind, name });
        let how = match key {
            "run" => Some(Self::Run { exit: value("exit").map_or(Ok(0), |code| code.parse()).map_err(|_| "`exit` is no number")? }),
            "terminal" => Some(Self::Terminal),
            "output" => Some(Self::Output),
            "answer" => Some(Self::Answer),
            "picture" => Some(Self::Picture),
            "file" => named.map(Self::File),
            "from" => named.map(Self::From),
            "script" => named.map(|name| {
                let dialect = value("dialect").unwrap_or_else(|| "native".to_owned());
                Self::Script { name, dialect, hooks: value("hooks") }
            }),
            "connector" => document("connectors"),
            "flow" => document("flows"),
            "connection" => document("connections"),
            "secret" => document("secrets"),
            "tenant" => document("tenants"),
            "skip" => REASONS.iter().find(|(reason, _)| named.as_deref() == Some(*reason)).map(|(reason, _)| Self::Skip(reason)),
            _ => None,
        };
        how.ok_or_else(|| format!("`{}` is nothing that a block can say; see `How` in tests/src/pages.rs", words.join(" ")))
    }
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn read(root: &Path, name: &str) -> Self {
        let text = std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut page =
            Self { name: name.to_owned(), blocks: Vec::new(), links: Vec::new(), anchors: BTreeSet::new(), problems: Vec::new() };
        let mut reader = Reader { page: &mut page, section: String::new(), heading: None, fence: None, comment: None };
        reader.read(&text, 1);
        page
    }

    /// Its blocks under one heading.
    pub fn section(&self, heading: &str) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.section == heading)
    }
}

/// What is being read.
struct Reader<'page> {
    page: &'page mut Page,
    section: String,
    /// Text of the heading that has begun.
    heading: Option<String>,
    /// Place, info string and text of the fence that has begun.
    fence: Option<(String, String, String)>,
    /// Text of the comment that has begun.
    comment: Option<String>,
}

impl Reader<'_> {
    /// Reads text that begins at a line of the page.
    fn read(&mut self, text: &str, first: usize) {
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            self.take(event, text[..range.start].matches('\n').count() + first);
        }
    }

    fn take(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                self.fence = Some((format!("{}:{line}", self.page.name), info.into_string(), String::new()));
            }
            Event::End(TagEnd::CodeBlock) => self.end_block(),
            Event::Start(Tag::Heading { .. }) => self.heading = Some(String::new()),
            Event::End(TagEnd::Heading(level)) => self.end_heading(level),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => self.page.links.push(dest_url.into_string()),
            Event::Start(Tag::HtmlBlock) => self.comment = Some(String::new()),
            Event::Html(text) => self.comment.get_or_insert_default().push_str(&text),
            Event::End(TagEnd::HtmlBlock) => {
                let html = self.comment.take().unwrap_or_default();
                if let Some(comment) = html.trim().strip_prefix("<!--").and_then(|html| html.strip_suffix("-->")) {
                    self.read(comment, line);
                }
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, _, block)) = &mut self.fence {
                    block.push_str(&text);
                } else if let Some(heading) = &mut self.heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }

    fn end_block(&mut self) {
        let Some((place, info, text)) = self.fence.take() else { return };
        let words: Vec<&str> = info.split_whitespace().collect();
        match How::read(words.get(1..).unwrap_or_default()) {
            Ok(how) => self.page.blocks.push(Block { place, section: self.section.clone(), language: words[0].to_owned(), text, how }),
            Err(problem) => self.page.problems.push(format!("{place} {problem}")),
        }
    }

    fn end_heading(&mut self, level: HeadingLevel) {
        let text = self.heading.take().unwrap_or_default();
        let plain = anchor(&text);
        let again = (1..).map(|n| format!("{plain}-{n}"));
        let free = std::iter::once(plain.clone()).chain(again).find(|anchor| !self.page.anchors.contains(anchor));
        self.page.anchors.extend(free);
        if level <= HeadingLevel::H2 {
            self.section = text;
        }
    }
}

/// What a link to a heading says, as forges and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

/// Whether a text is what an `output` block shows. How many spaces there are does not count: columns are as wide as what is in them.
#[must_use]
pub fn shows(expected: &str, actual: &str) -> bool {
    let lines = |text: &str| text.trim_end().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    same_lines(&lines(expected), &lines(actual))
}

fn same_lines(expected: &[String], actual: &[String]) -> bool {
    match (expected.split_first(), actual.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == "…" => (0..=actual.len()).any(|skipped| same_lines(rest, &actual[skipped..])),
        (Some((first, rest)), Some((line, following))) => same_line(first, line) && same_lines(rest, following),
        _ => false,
    }
}

/// Each `…` stands for any text.
#[must_use]
pub fn same_line(expected: &str, line: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else { return expected == line };
    let Some(line) = line.strip_prefix(start) else { return false };
    let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.into_iter().any(|at| same_line(rest, &line[at..]))
}

#[cfg(test)]
mod tests {
    use super::{How, anchor, shows};

    #[test]
    fn output_may_leave_out_what_differs() {
        assert!(shows("run …  ok\n…\nend", "run 17  ok\na\nb\nend\n"));
        assert!(shows("…", "") && shows("a…", "a") && shows("a  \n", "a") && shows("a b", " a   b"));
        assert!(!shows("a\nb", "a") && !shows("a", "a\nb") && !shows("run … ok", "run 17 failed"));
    }

    #[test]
    fn a_block_says_what_it_is() {
        assert_eq!(How::read(&["run", "exit=3"]), Ok(How::Run { exit: 3 }));
        assert_eq!(How::read(&["flow=orders"]), Ok(How::Document { kind: "flows", name: "orders".to_owned() }));
        for wrong in [&[][..], &["skip"], &["skip=later"], &["script"], &["runs"], &["run", "exit=x"]] {
            assert!(How::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn anchors_are_those_of_forges() {
        assert_eq!(anchor("Tokens, and who `changed` what"), "tokens-and-who-changed-what");
        assert_eq!(anchor("HTTP API: 1.0"), "http-api-10");
    }
}
