//! The documentation does what it says: every block of every page is run, and every link leads somewhere. `tests/src/pages.rs` has what a block can
//! say about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::pages::{Block, How, Page, REASONS, shows};
use snaphook_tests::shell::Shell;
use snaphook_tests::{OPERATOR, Tenant};

use crate::support::{binary, node};

/// Where pages have an API that a reader brings along. Here it is an upstream that gives back what it is sent.
pub(crate) const API_IN_PAGES: &str = "http://127.0.0.1:9000";

/// A test for each page.
macro_rules! pages {
    ($($test:ident $page:literal)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            Reader::of($page).await.read().await;
        })*
    };
}

pages! {
    readme "README.md"
    brought_braincloud "docs/from-braincloud.md"
    brought_elsewhere "docs/from-elsewhere.md"
    brought_patchworks "docs/from-patchworks.md"
    brought_prismatic "docs/from-prismatic.md"
    command_line "docs/cli.md"
    configuration "docs/configuration.md"
    connections "docs/connections.md"
    contract "docs/contract.md"
    dashboard "docs/dashboard.md"
    egress "docs/egress.md"
    embedding "docs/embedding.md"
    errors "docs/errors.md"
    flows "docs/flows.md"
    front "docs/README.md"
    http_api "docs/http-api.md"
    javascript "docs/javascript.md"
    limits "docs/limits.md"
    manifests "docs/manifests.md"
    many_nodes "docs/many-nodes.md"
    operating "docs/operating.md"
    quotas "docs/quotas.md"
    routes "docs/routes.md"
    runs "docs/runs.md"
    start "docs/start.md"
    state "docs/state.md"
    summary "docs/SUMMARY.md"
    telemetry "docs/telemetry.md"
    tls "docs/tls.md"
    tokens_and_audit "docs/tokens-and-audit.md"
}

/// One who reads a page and does what it says, with a tenant, an API and a folder of their own.
struct Reader {
    page: Page,
    tenant: Tenant,
    api: Upstream,
    shell: Shell,
}

impl Reader {
    async fn of(page: &str) -> Self {
        let page = Page::read(root(), page);
        assert!(page.problems.is_empty(), "{}", page.problems.join("\n"));
        let tenant = node().tenant().await;
        let token = tenant.client.token.clone().unwrap();
        let environment =
            [("SNAPHOOK_URL", node().url()), ("SNAPHOOK_TOKEN", &token), ("SNAPHOOK_OPERATOR_TOKEN", OPERATOR), ("TENANT", &tenant.name)];
        let shell = Shell::start(binary(), node().data_dir(), &environment);
        Self { page, tenant, api: api().await, shell }
    }

    /// Does what each block says, in order.
    async fn read(mut self) {
        let blocks = std::mem::take(&mut self.page.blocks);
        let mut printed = String::new();
        for (i, block) in blocks.iter().enumerate() {
            let following = blocks.get(i + 1).filter(|next| next.how == How::Output);
            self.follow(block, following, &mut printed).await;
        }
    }

    async fn follow(&mut self, block: &Block, following: Option<&Block>, printed: &mut String) {
        let (place, text) = (&block.place, self.here(&block.text));
        match &block.how {
            How::Run { exit } => {
                let (code, output) = self.shell.run(&text);
                assert_eq!(code, *exit, "{place} ends with {code}:\n{output}");
                *printed = output;
            }
            How::Terminal => {
                let expected = following.unwrap_or_else(|| panic!("{place}: a terminal is followed by what it prints"));
                *printed = self.shell.beside(&text, &self.here(&expected.text));
            }
            How::Output => {
                // Taken, so that an output that follows nothing is compared with nothing.
                let printed = std::mem::take(printed);
                assert!(shows(&self.shell.here(&text), &printed), "{place} shows\n{text}\nbut it is\n{printed}");
            }
            How::File(path) => self.write(path, &text),
            How::Script { name, dialect, hooks } => self.upload(block, name, dialect, hooks.as_deref(), text).await,
            How::Document { kind, name } => self.store(block, kind, name, text).await,
            How::Answer => drop(serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{place}: {error}"))),
            How::From(path) => assert!(stands_in(&block.text, &file(path)), "{place} is not what {path} has"),
            How::Picture | How::Skip(_) => {}
        }
    }

    /// A block's text with what stands here for the addresses in it.
    fn here(&self, text: &str) -> String {
        text.replace(API_IN_PAGES, &self.api.url(""))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.shell.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn upload(&self, block: &Block, name: &str, dialect: &str, hooks: Option<&str>, text: String) {
        let language = if block.language == "ts" { "typescript" } else { "javascript" };
        let middle = if dialect == "native" { String::new() } else { format!(".{dialect}") };
        self.write(&format!("scripts/{name}{middle}.{}", block.language), &text);
        let answer = self.tenant.upload(&format!("{name}?dialect={dialect}"), language, text).await;
        assert!(matches!(answer.status, 200 | 201), "{}: {}", block.place, answer.text());
        let given: Vec<String> = answer.json()["hooks"].as_array().unwrap().iter().map(|hook| hook.as_str().unwrap().to_owned()).collect();
        if let Some(hooks) = hooks {
            assert_eq!(given.join(","), hooks, "{}", block.place);
        }
    }

    async fn store(&self, block: &Block, kind: &str, name: &str, text: String) {
        // A secret is the text without the end of its line.
        let (content_type, text) = match block.language.as_str() {
            "text" => ("text/plain".to_owned(), text.trim_end().to_owned()),
            language => (format!("application/{language}"), text),
        };
        let headers = [("content-type", content_type.as_str())];
        let client = if kind == "tenants" { node().operator() } else { self.tenant.client.clone() };
        // The page's own tenant stays as it is.
        let name = if kind == "tenants" { format!("{}-{name}", self.tenant.name) } else { name.to_owned() };
        let answer = client.send("PUT", &format!("/v1/{kind}/{name}"), &headers, text.into()).await;
        assert!(matches!(answer.status, 200 | 201), "{}: {}", block.place, answer.text());
    }
}

/// The API of the pages: whatever is asked of it, it answers with what it was sent, or `{"ok": true}`.
pub(crate) async fn api() -> Upstream {
    let api = Upstream::start().await;
    api.on_others(|request| match serde_json::from_slice(&request.body) {
        Ok(body) => Answer::json(body),
        Err(_) => Answer::json(json!({"ok": true})),
    });
    api
}

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

pub(crate) fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether these lines stand in a text one after another, however far in.
fn stands_in(lines: &str, text: &str) -> bool {
    let plain = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let (lines, text) = (plain(lines), plain(text));
    text.windows(lines.len()).any(|window| window == lines)
}

/// All pages of the book, from the folder.
fn pages_there() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap().flatten().map(|entry| entry.path());
    let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.map(|path| format!("docs/{}", path.file_name().unwrap().to_string_lossy())).collect()
}

#[test]
fn every_page_is_read() {
    let read: BTreeSet<String> = PAGES.iter().map(|page| (*page).to_owned()).filter(|page| page.starts_with("docs/")).collect();
    assert_eq!(read, pages_there(), "each page has its line in `pages!`");
    let listed: BTreeSet<String> = Page::read(root(), "docs/SUMMARY.md").links.iter().map(|link| format!("docs/{link}")).collect();
    let unlisted: Vec<_> = read.difference(&listed).filter(|page| *page != "docs/SUMMARY.md").collect();
    assert!(unlisted.is_empty(), "docs/SUMMARY.md does not have {unlisted:?}");
}

#[test]
fn every_page_says_first_whom_it_is_for() {
    let body = |page: &str| file(page).split_once("\n\n").unwrap().1.to_owned();
    let pages = PAGES.iter().filter(|page| page.starts_with("docs/") && !page.ends_with("README.md") && !page.ends_with("SUMMARY.md"));
    let silent: Vec<_> = pages.filter(|page| !body(page).starts_with("For ")).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// How many blocks there are of each kind. What is not run says why, by a word of [`REASONS`]; the list is here so that a change of it is seen.
#[test]
fn blocks_that_are_not_run_say_why() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for page in PAGES {
        for block in Page::read(root(), page).blocks {
            *counts.entry(block.how.word()).or_default() += 1;
        }
    }
    let skipped: Vec<String> =
        counts.iter().filter(|(word, _)| word.starts_with("skip=")).map(|(word, count)| format!("{word} {count}")).collect();
    for (reason, why) in REASONS {
        println!("{reason}: {why}");
    }
    println!("{counts:#?}");
    assert_eq!(skipped, ["skip=build 4", "skip=cluster 5", "skip=elsewhere 1", "skip=machine 4", "skip=placeholder 29"]);
}

/// Pages whose links are looked at and whose blocks are not: they are about the repository, or have tests of their own.
const LINKS_ONLY: [&str; 5] = ["SECURITY.md", "crates/README.md", "examples/README.md", "guest-sdk/README.md", "guest-sdk/rust/README.md"];

#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    for name in PAGES.iter().chain(&LINKS_ONLY) {
        let page = Page::read(root(), name);
        let folder = Path::new(name).parent().unwrap();
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let target = if path.is_empty() { PathBuf::from(name) } else { folder.join(path) };
            // A book is read without the repository around it.
            let leaves = name.starts_with("docs/") && path.contains("..");
            let there = root().join(&target).exists();
            let names = |anchor: &str| Page::read(root(), &target.to_string_lossy()).anchors.contains(anchor);
            if leaves || !there || !anchor.is_none_or(names) {
                dead.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn readme_and_the_first_page_begin_alike() {
    let readme = file("README.md");
    let page = Page::read(root(), "docs/start.md");
    for path in ["mine/scripts/stamp.ts", "mine/connectors/echo.yaml"] {
        let block = page.blocks.iter().find(|block| block.how == How::File(path.to_owned())).unwrap();
        assert!(readme.contains(&format!("{path} <<'END'\n{}END\n", block.text)), "{} is another one in README.md", block.place);
    }
}
