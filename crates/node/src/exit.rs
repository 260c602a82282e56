//! Exit codes: one table for the code, `--help`, the man page and the documentation.

use std::process::ExitCode;

/// How a command ended, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Failed = 1,
    Usage = 2,
    NotAsExpected = 3,
    Unreachable = 4,
}

impl Exit {
    pub(crate) const ALL: [Self; 5] = [Self::Success, Self::Failed, Self::Usage, Self::NotAsExpected, Self::Unreachable];

    /// When a command ends so.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "The command did what it was asked to do.",
            Self::Failed => "It failed: the node refused it, a file cannot be read, a node does not start. The message says what to do.",
            Self::Usage => "The command line or the configuration is wrong. Nothing was done.",
            Self::NotAsExpected => {
                "It ran, and what it found is not as one would have it: a replay or a comparison differs, a test case failed, an import left \
                 something out, a promotion was not confirmed."
            }
            Self::Unreachable => "No node answers at the address. Trying again may help.",
        }
    }

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table, as the help shows it.
pub(crate) fn help() -> String {
    let rows = Exit::ALL.map(|exit| format!("  {}  {}", exit.code(), exit.meaning()));
    format!("Exit codes:\n{}", rows.join("\n"))
}
