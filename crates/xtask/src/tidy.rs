//! `tidy`: what must never be true of the tree, checked.

mod arrows;
mod enumerations;
mod files;
mod migrations;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{output, root};

/// Runs every check and reports all complaints at once.
pub(crate) fn tidy() -> Result<(), String> {
    let files = tracked_files()?;
    let mut complaints = arrows::check()?;
    complaints.extend(files::check(&files));
    complaints.extend(enumerations::check());
    complaints.extend(migrations::check(&files));
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    match complaints.len() {
        0 => {
            println!("tidy: {} files, nothing to complain about", files.len());
            Ok(())
        }
        count => Err(format!("{count} complaints")),
    }
}

/// Files that git knows or would add, relative to the root.
fn tracked_files() -> Result<Vec<PathBuf>, String> {
    let listed = output(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root()))?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect())
}

/// The text of a file relative to the root; empty when it is not text.
fn text(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}
