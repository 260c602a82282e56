//! An example of every command, for its help, its manual page and `docs/cli.md`.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// Each command by its words, and how it is used.
const EXAMPLES: [(&str, &[&str]); 26] = [
    (
        "serve",
        &[
            "snaphook serve --listen 0.0.0.0:7070 --public-url https://hooks.example.com --data-dir /var/lib/snaphook",
            "snaphook serve --config /etc/snaphook/snaphook.toml",
        ],
    ),
    ("dev", &["snaphook dev mine --origin https://api.example.com=http://127.0.0.1:9000"]),
    ("deploy", &["snaphook deploy mine", "snaphook deploy mine/scripts/stamp.ts"]),
    ("import", &["snaphook import order.yaml --name orders --write mine"]),
    ("call", &["snaphook call shop/create-order '{\"amount\": 2}'", "snaphook call orders @order.json --flow"]),
    ("test", &["snaphook test mine", "snaphook test stamp '{\"arguments\": {\"text\": \"one two\"}}' --hook pre-hook"]),
    (
        "replay",
        &[
            "snaphook replay 0198c5f2-0000-7000-8000-000000000001 --script price=4",
            "snaphook replay --flow orders --last 500 --script price=4",
        ],
    ),
    ("runs", &["snaphook runs --flow orders --status failed --since 2026-01-31T08:00:00Z"]),
    ("run", &["snaphook run 0198c5f2-0000-7000-8000-000000000001"]),
    ("logs", &["snaphook logs -f --flow orders --level warn", "snaphook logs --run 0198c5f2-0000-7000-8000-000000000001"]),
    ("diff", &["snaphook diff price 3 4", "snaphook diff --folder mine"]),
    (
        "bind",
        &[
            "snaphook bind shop/create-order pre-hook stamp=3",
            "snaphook bind 'orders/Create order' post-request check-session",
            "snaphook bind orders trigger intake=2",
        ],
    ),
    ("promote", &["snaphook promote price=4 --last 500"]),
    ("audit", &["snaphook audit --action flow.put --last 50"]),
    ("tenant put", &["snaphook tenant put acme '{\"quota\": {\"concurrency\": 32}}'"]),
    ("tenant list", &["snaphook tenant list --json"]),
    ("tenant show", &["snaphook tenant show acme"]),
    ("tenant delete", &["snaphook tenant delete acme"]),
    ("token create", &["snaphook token create deployer --scopes deploy,read --expires-s 86400"]),
    ("token list", &["snaphook token list"]),
    ("token delete", &["snaphook token delete 0198c5f2-0000-7000-8000-000000000002"]),
    ("secrets rotate", &["snaphook secrets rotate --data-dir /var/lib/snaphook"]),
    ("doctor", &["snaphook doctor --data-dir /var/lib/snaphook"]),
    ("health", &["snaphook health --url http://127.0.0.1:7070"]),
    ("completions", &["snaphook completions bash"]),
    ("man", &["snaphook man /usr/local/share/man/man1"]),
];

/// The command line with the examples in its help.
pub(crate) fn command() -> Command {
    let mut command = Cli::command();
    for (words, examples) in EXAMPLES {
        let shown = examples.iter().map(|example| format!("  {example}")).collect::<Vec<_>>().join("\n");
        let heading = if examples.len() == 1 { "Example" } else { "Examples" };
        command = with_help(command, words, &format!("{heading}:\n{shown}"));
    }
    command
}

fn with_help(command: Command, words: &str, help: &str) -> Command {
    match words.split_once(' ') {
        Some((first, rest)) => command.mut_subcommand(first, |inner| with_help(inner, rest, help)),
        None => command.mut_subcommand(words, |inner| inner.after_help(help.to_owned())),
    }
}

/// Every command that does something, by its words, in the order of the help.
#[cfg(test)]
pub(crate) fn commands() -> Vec<(String, Command)> {
    fn collect(words: &str, command: &Command, found: &mut Vec<(String, Command)>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
            let words = format!("{words} {}", inner.get_name()).trim_start().to_owned();
            match inner.has_subcommands() {
                true => collect(&words, inner, found),
                false => found.push((words, inner.clone())),
            }
        }
    }
    let mut found = Vec::new();
    collect("", &command(), &mut found);
    found
}

/// The examples of a command.
#[cfg(test)]
pub(crate) fn of(words: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(known, _)| *known == words).map_or(&[], |(_, examples)| examples)
}

#[cfg(test)]
mod tests {
    use super::{EXAMPLES, command, commands, of};

    /// Words as a shell takes them; single quotes are the only ones in the examples.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (i, part) in line.split('\'').enumerate() {
            let mut pieces = if i % 2 == 1 { vec![part] } else { part.split(' ').collect() }.into_iter();
            if let (Some(last), Some(first)) = (words.last_mut(), pieces.next()) {
                last.push_str(first);
            }
            words.extend(pieces.map(str::to_owned));
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_understood() {
        for (name, _) in commands() {
            assert!(!of(&name).is_empty(), "`{name}` has no example");
        }
        for (name, example) in EXAMPLES.iter().flat_map(|(name, examples)| examples.iter().map(move |example| (name, example))) {
            let mut given = words(example);
            assert!(example.starts_with(&format!("snaphook {name}")), "{example}");
            // Who asks comes from the environment.
            if commands().iter().any(|(known, command)| known == name && command.get_arguments().any(|arg| arg.get_id() == "token")) {
                given.extend(["--token".to_owned(), "t".to_owned()]);
            }
            if let Err(error) = command().try_get_matches_from(given) {
                panic!("{example}: {error}");
            }
        }
    }
}
