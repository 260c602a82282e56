//! The names of all settings, as the definition of the command line has them.

use clap::{Args as _, Command};

use crate::cli::ServeArgs;

/// What a node can be told in a file and the environment but not on the command line, where every process of the machine would see it; and what for.
pub(crate) const NO_FLAGS: [(&str, &str); 1] =
    [("secrets_key", "The key of secrets itself, as 64 hexadecimal digits, instead of a file with it.")];

/// The keys of the file; in capitals and behind `SNAPHOOK_`, the variables of the environment.
pub(crate) fn keys() -> Vec<String> {
    let serve = ServeArgs::augment_args(Command::new("serve"));
    let flags = serve.get_arguments().map(|arg| arg.get_id().to_string()).filter(|key| key != "config");
    flags.chain(NO_FLAGS.map(|(key, _)| key.to_owned())).collect()
}
