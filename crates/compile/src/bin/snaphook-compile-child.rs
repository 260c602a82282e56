//! The compile child on its own, so that tests need not build the node. The node starts itself instead.

use std::process::ExitCode;

fn main() -> ExitCode {
    snaphook_compile::child_main()
}
