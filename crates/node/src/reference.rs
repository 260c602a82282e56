//! Pages of the documentation that are generated from the code. They are written by a test, `cargo xtask gen`, and the same test holds them against
//! the code; the binary has none of this.

mod command_line;
mod settings;

use std::path::Path;

#[test]
fn generated_pages_are_committed_as_the_code_has_them() {
    for (name, generated) in [("configuration.md", settings::page()), ("cli.md", command_line::page())] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        if std::env::var_os("SNAPHOOK_GENERATE").is_some() {
            std::fs::write(&file, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == generated, "docs/{name} is not what the code says; run `cargo xtask gen`");
    }
}

/// A text as it may stand in a table.
fn cell(text: &str) -> String {
    let text = text.trim_end().replace('|', "\\|").replace('\n', " ");
    if text.ends_with(['.', ':', '`']) || text.is_empty() { text } else { format!("{text}.") }
}
