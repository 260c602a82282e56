//! A stranger's way: README only, from nothing to a hook of their own in front of an API of their choice, counted in commands.

use serde_json::json;
use snaphook_tests::pages::{Block, How, Page};
use snaphook_tests::shell::Shell;

use crate::docs::{API_IN_PAGES, api, root};
use crate::support::{binary, node};

/// What takes minutes, installing and building, counts as commands and is not done again: it brought the tests here.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_has_a_hook_of_their_own_after_eight_commands() {
    let page = Page::read(root(), "README.md");
    let (api, mut shell) = (api().await, Shell::start(binary(), node().data_dir(), &[]));
    let blocks: Vec<&Block> = page.section("Start in five minutes").collect();
    let (mut typed, mut said) = (0, String::new());
    for (i, block) in blocks.iter().enumerate() {
        let text = block.text.replace(API_IN_PAGES, &api.url(""));
        typed += if block.language == "sh" && block.how != How::Skip("placeholder") { commands(&block.text) } else { 0 };
        match block.how {
            How::Run { .. } => {
                let (code, output) = shell.run(&text);
                assert_eq!(code, 0, "{}: {output}", block.place);
                said += &output;
            }
            How::Terminal => {
                let printed = shell.beside(&text, &blocks[i + 1].text);
                // The line that it tells the reader to paste.
                assert_eq!(printed.matches("export ").count(), 1, "{printed}");
                typed += 1;
            }
            _ => {}
        }
    }
    assert_eq!(api.last().json(), json!({"text": "four words in here", "words": 4}), "what the hook made of the call");
    assert!(said.contains("stamp@1") && said.contains("answer 200"), "{said}");
    assert_eq!(typed, 8, "README has a stranger type so many commands");
}

/// How many commands somebody types: lines that are no comment, a heredoc being one with its first line.
fn commands(text: &str) -> usize {
    let (mut count, mut ends) = (0, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match &ends {
            Some(end) if line == end => ends = None,
            Some(_) => {}
            None => {
                count += 1;
                ends = line.split_once("<<'").and_then(|(_, rest)| rest.split('\'').next()).map(str::to_owned);
            }
        }
    }
    count
}
