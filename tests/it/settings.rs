//! A node's settings: four places, of which each stands over the next, and what is wrong in them is shown where it stands.

use std::path::Path;
use std::process::{Command, Output};

use snaphook_tests::{NodeOptions, NodeProcess};

use crate::folders::folder;
use crate::support::{binary, node};

/// `snaphook serve` with a file, the environment and flags that it refuses.
fn refused(file: Option<&Path>, environment: &[(&str, &str)], flags: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.arg("serve").args(flags).env("NO_COLOR", "1").envs(environment.iter().copied());
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    let output: Output = command.output().expect("the binary was built");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{text}");
    // Without what a terminal's width puts into a sentence.
    text.replace(['\n', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A file with this text, which is refused.
fn refused_file(text: &str) -> String {
    let folder = folder(&[("node.toml", text)]);
    refused(Some(&folder.path().join("node.toml")), &[], &[])
}

#[test]
fn what_is_wrong_in_the_file_is_shown_where_it_stands() {
    for (text, place, says) in [
        ("# ours\nlisten = \"127.0.0.1:0\"\nlease_seconds = 5\n", "node.toml:3:1", "`lease_seconds` is no setting; `lease_s` is one"),
        ("x = 1\n", "node.toml:1:1", "`x` is no setting; there are listen, public_url"),
        ("[node]\nlisten = \"127.0.0.1:0\"\n", "node.toml:1:2", "`node` is no setting"),
        ("lease_s = \"soon\"\n", "node.toml:1:11", "lease_s: invalid type: found string \"soon\", expected u64"),
        ("files_bytes = -1\n", "node.toml:1:15", "files_bytes: invalid"),
        ("\nlog_format = \"xml\"\n", "node.toml:2:14", "log_format: unknown variant"),
        ("listen = 7070\n", "node.toml:1:10", "listen: "),
        ("listen = \"127.0.0.1:0\n", "node.toml:1:", "invalid basic string"),
        ("lease_s = 5\nlease_s = 6\n", "node.toml:2:1", "duplicate key"),
        ("operator_token = 1979-05-27\n", "node.toml:1:18", "operator_token: "),
    ] {
        let shown = refused_file(text);
        assert!(shown.contains(place) && shown.contains(says), "{text:?}: {shown}");
    }
    let beside = refused_file("operator_token = \"not-to-be-seen\"\nx = 1\n");
    assert!(beside.contains("node.toml:2:1") && beside.contains("operator_token =***") && !beside.contains("not-to-be-seen"), "{beside}");
    assert!(refused_file("lease_s = 1\n").contains("lease_s is 1; it is 2 to 3600"));
    assert!(refused(Some(Path::new("/none/node.toml")), &[], &[]).contains("/none/node.toml cannot be read"));
}

#[test]
fn what_is_wrong_elsewhere_names_the_variable_or_the_flag() {
    let of_environment = refused(None, &[("SNAPHOOK_LEASE_S", "soon")], &[]);
    assert!(of_environment.contains("SNAPHOOK_LEASE_S: invalid type: found string \"soon\""), "{of_environment}");
    let of_a_flag = refused(None, &[], &["--listen", "nowhere"]);
    assert!(of_a_flag.contains("listen: ") && !of_a_flag.contains("SNAPHOOK_LISTEN"), "{of_a_flag}");
    assert!(refused(None, &[], &["--second-wall", "maybe"]).contains("second_wall: unknown variant"));
}

#[test]
fn flags_stand_over_the_environment_and_that_over_the_file_and_that_over_the_defaults() {
    let text = "listen = \"127.0.0.2:0\"\npublic_url = \"https://file.example\"\nlog_format = \"json\"\nresponse_memory_bytes = 134217728\nfiles_bytes = 1073741824\n";
    let folder = folder(&[("node.toml", text)]);
    let environment = [
        ("SNAPHOOK_CONFIG", folder.path().join("node.toml").display().to_string()),
        ("SNAPHOOK_LISTEN", "127.0.0.3:0".to_owned()),
        ("SNAPHOOK_RESPONSE_MEMORY_BYTES", "201326592".to_owned()),
        ("SNAPHOOK_LOGS", "not a setting, and left alone".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    // The node of the tests is given --listen 127.0.0.1:0.
    let options = NodeOptions { environment, ..NodeOptions::default() };
    let started = NodeProcess::start_with(node(), options);
    assert!(started.url().starts_with("http://127.0.0.1:"), "the flag: {}", started.url());
    assert!(started.printed().contains("responses 192 MiB"), "the environment: {}", started.printed());
    assert!(started.printed().contains("SQLite in"), "the default: {}", started.printed());
}
