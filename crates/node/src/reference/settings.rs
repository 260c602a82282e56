//! The page `docs/configuration.md`: the one table of all settings.

use clap::{Arg, Args as _, Command};

use super::cell;
use crate::cli::ServeArgs;
use crate::config::settings::NO_FLAGS;

/// Variables with names that are not ours.
const OTHERS: [(&str, &str); 9] = [
    (
        "`RUST_LOG`",
        "What of a node's own log is written, such as `warn` or `snaphook_flow=debug,info`; without it `info`, and `warn` for `dev`.",
    ),
    ("`NO_COLOR`", "Set to anything, no command prints colours; `--color` stands over it."),
    (
        "`CLICOLOR_FORCE`",
        "Set to anything but `0`, commands print colours also where no terminal is; `--color` and `NO_COLOR` stand over it.",
    ),
    (
        "`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_ALLOW_HTTP`",
        "The storage of `objects = \"s3://…\"`.",
    ),
    (
        "`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`",
        "Files with rights that somebody else lends and renews, for the same.",
    ),
    ("`SSL_CERT_FILE`, `SSL_CERT_DIR`", "Certificate authorities that PostgreSQL's certificate may come from."),
    ("`PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`, `PGPASSFILE`", "As PostgreSQL's own programs understand them."),
    (
        "`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`",
        "The collector of spans, where `otlp_endpoint` is not said, and headers for it, such as a token.",
    ),
    ("`TMPDIR`", "Where `doctor` starts its trial node."),
];

/// One setting of a node.
struct Setting {
    /// In the file.
    key: String,
    /// On the command line, with the form of its value; absent where there is none.
    flag: Option<String>,
    /// What holds where nothing is said; empty where nothing does.
    default: String,
    /// What it is for.
    about: String,
}

impl Setting {
    /// The variable of the environment.
    fn environment(&self) -> String {
        format!("SNAPHOOK_{}", self.key.to_ascii_uppercase())
    }

    fn of(arg: &Arg) -> Option<Self> {
        let help = arg.get_help()?.to_string();
        let value = arg.get_value_names().unwrap_or_default().join(" ");
        let default = bracketed(&help, "default").unwrap_or_default();
        let about = without_brackets(&help);
        Some(Self { key: arg.get_id().to_string(), flag: Some(format!("--{} {value}", arg.get_long()?)), default, about })
    }
}

/// Every setting of a node, in the order of `serve --help`.
fn all() -> Vec<Setting> {
    let serve = ServeArgs::augment_args(Command::new("serve"));
    let flags = serve.get_arguments().filter(|arg| arg.get_id() != "config").filter_map(Setting::of);
    let others = NO_FLAGS.map(|(key, about)| Setting { key: key.to_owned(), flag: None, default: String::new(), about: about.to_owned() });
    flags.chain(others).collect()
}

/// What stands behind a word in brackets: `[default: this]`.
fn bracketed(help: &str, word: &str) -> Option<String> {
    let inner = help.split_once(&format!("[{word}: "))?.1;
    Some(inner.split_once(']')?.0.to_owned())
}

/// The text without what stands in brackets, which has columns of its own.
fn without_brackets(help: &str) -> String {
    let mut out = String::new();
    let mut rest = help;
    while let Some((before, inner)) = rest.split_once(" [") {
        out += before;
        rest = inner.split_once(']').map_or("", |(_, after)| after);
    }
    (out + rest).trim().to_owned()
}

/// The page `docs/configuration.md`.
pub(super) fn page() -> String {
    let mut out = include_str!("configuration.md").trim_end().to_owned();
    out += "\n\n## A node\n\n| key of the file | environment | flag of `snaphook serve` | default | what it is for |\n| --- | --- | --- | --- | --- |\n";
    for setting in all() {
        let flag = setting.flag.as_ref().map_or_else(|| "–".to_owned(), |flag| format!("`{}`", flag.replace('|', "\\|")));
        let default = if setting.default.is_empty() { "–" } else { &setting.default };
        out += &format!("| `{}` | `{}` | {flag} | {default} | {} |\n", setting.key, setting.environment(), cell(&setting.about));
    }
    out += "\n## Commands that talk to a node\n\n| environment | flag | default | what it is for |\n| --- | --- | --- | --- |\n";
    for (variable, flag, default, about) in of_commands() {
        let default = if default.is_empty() { "–".to_owned() } else { format!("`{default}`") };
        out += &format!("| `{variable}` | `{flag}` | {default} | {} |\n", cell(&about));
    }
    out += "\n`doctor` and `secrets rotate` read the variables of a node that they need; `--help` of each names them.\n";
    out += "\n## Variables with other names\n\n| environment | what it is for |\n| --- | --- |\n";
    for (variables, about) in OTHERS {
        out += &format!("| {variables} | {about} |\n");
    }
    out
}

/// Variables of the commands that are none of a node's settings: name, flag, default, what for.
fn of_commands() -> Vec<(String, String, String, String)> {
    let settings: Vec<String> = all().iter().map(Setting::environment).collect();
    let mut found: Vec<(String, String, String, String)> = Vec::new();
    // What `serve` has is in the other table, but for the name of the file, which the text has.
    for (_, command) in crate::cli::commands().into_iter().filter(|(words, _)| words != "serve") {
        for arg in command.get_arguments() {
            let Some((variable, flag)) = arg.get_env().zip(arg.get_long()) else { continue };
            let variable = variable.to_string_lossy().into_owned();
            let is_new = !found.iter().any(|(known, ..)| *known == variable);
            // The operator's token stands in the environment of a node and of a command alike.
            if is_new && (variable == "SNAPHOOK_OPERATOR_TOKEN" || !settings.contains(&variable)) {
                let default = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ");
                let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
                found.push((variable, format!("--{flag}"), default, about));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::{ServeArgs, all, bracketed, without_brackets};
    use crate::config::{Config, settings};

    #[test]
    fn what_the_help_says_of_environment_and_defaults_is_so() {
        let serve = ServeArgs::augment_args(Command::new("serve"));
        let defaults = serde_json::to_value(Config::defaults("./snaphook-data".into())).unwrap();
        for setting in all().iter().filter(|setting| setting.flag.is_some()) {
            let help = serve.get_arguments().find(|arg| arg.get_id() == setting.key.as_str()).unwrap().get_help().unwrap().to_string();
            assert_eq!(bracketed(&help, "env"), Some(setting.environment()), "{}", setting.key);
            // Memory is the machine's; the rest stands in the text as it is.
            let default = &defaults[&setting.key];
            if !default.is_null() && !setting.default.contains("machine") {
                let written = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
                assert_eq!(setting.default, written, "{}", setting.key);
            }
        }
        // Whatever a node can be told is in the table.
        let keys = settings::keys();
        for key in defaults.as_object().unwrap().keys() {
            assert!(all().iter().any(|setting| setting.key == *key) && keys.contains(key), "{key}");
        }
    }

    #[test]
    fn brackets_are_taken_apart() {
        let help = "Address to listen on [env: A] [default: 1 or 2]. More";
        assert_eq!((bracketed(help, "default").as_deref(), bracketed(help, "x")), (Some("1 or 2"), None));
        assert_eq!(without_brackets(help), "Address to listen on. More");
    }
}
