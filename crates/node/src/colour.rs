//! Colours: where a terminal shows them, unless `--color` or `NO_COLOR` says otherwise.
//!
//! Everything that may have colours is printed by `anstream`, which takes them out where nobody would see them.

use std::ffi::OsString;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

/// Whether to print in colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

impl From<When> for ColorChoice {
    fn from(when: When) -> Self {
        match when {
            When::Auto => Self::Auto,
            When::Always => Self::Always,
            When::Never => Self::Never,
        }
    }
}

/// Takes the choice from the arguments, for the rest of the process. It is looked for before they are read as a whole, so that an error in them is
/// shown in the way that was asked for; a value that is none is an error there.
pub(crate) fn choose(arguments: impl Iterator<Item = OsString>) {
    if let Some(when) = asked(arguments) {
        ColorChoice::from(when).write_global();
    }
    // Reports are made with colours, which the stream takes out again.
    let coloured = ColorChoice::global() != ColorChoice::Never;
    // Fails where a hook is set already, and nobody else sets one.
    let _ = miette::set_hook(Box::new(move |_| Box::new(miette::MietteHandlerOpts::new().color(coloured).build())));
}

fn asked(arguments: impl Iterator<Item = OsString>) -> Option<When> {
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned()).take_while(|argument| argument != "--");
    let mut asked = None;
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next(),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        asked = value.and_then(|value| When::from_str(&value, false).ok()).or(asked);
    }
    asked
}

/// Whether standard error gets colours.
pub(crate) fn on_stderr() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::{When, asked};

    #[test]
    fn the_choice_is_found_wherever_it_stands() {
        let of = |line: &str| asked(line.split(' ').map(Into::into));
        assert_eq!(of("snaphook runs --color never"), Some(When::Never));
        assert_eq!(of("snaphook --color=always runs"), Some(When::Always));
        assert_eq!(of("snaphook --color red runs"), None, "which is said when the arguments are read");
        assert_eq!(of("snaphook call --colors never"), None);
        assert_eq!(of("snaphook call -- --color never"), None, "that is no flag");
    }
}
