//! Every way in with its seeds, and with what comes of them by small changes: fewer than a fuzzer tries, and the same each time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use snaphook_fuzzing::{TARGETS, Target};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder().join("seeds").join(target.name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// When this is set, other changes are tried for so many seconds, by chance.
const SECONDS: &str = "SNAPHOOK_FUZZ_SECONDS";

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index),
    Cut(Index),
    /// Takes a piece of another seed.
    Splice(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let token = prop_oneof![
        vec(any::<u8>(), 1..8),
        select(vec![
            "{{", "}}", "{%", "\"", "\\", "\n", "[", "{", "- ", ": ", "&a", "*a", "%", "\0", "null", "-1", "1e999", "€", "..", "//"
        ])
        .prop_map(|token| token.as_bytes().to_vec()),
        any::<i32>().prop_map(|number| number.to_le_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Flip(at, byte)),
        (any::<Index>(), token).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Remove(from, to)),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Repeat(from, to)),
        any::<Index>().prop_map(Change::Cut),
        any::<(Index, Index, Index)>().prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change], seeds: &[Vec<u8>]) -> Vec<u8> {
    for change in changes {
        let length = bytes.len() + 1;
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(length), to.index(length));
            from.min(to)..from.max(to)
        };
        match change {
            Change::Flip(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= byte;
            }
            Change::Flip(..) => {}
            Change::Insert(at, new) => drop(bytes.splice(at.index(length)..at.index(length), new.iter().copied())),
            Change::Remove(from, to) => drop(bytes.drain(range(from, to))),
            Change::Repeat(from, to) => {
                let piece = bytes[range(from, to)].to_vec();
                bytes.extend(piece.iter().cycle().take(piece.len() * 3));
            }
            Change::Cut(at) => bytes.truncate(at.index(length)),
            Change::Splice(at, other, from) => {
                let other = &seeds[other.index(seeds.len())];
                bytes.truncate(at.index(length));
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
        bytes.truncate(64 << 10);
    }
    bytes
}

/// Shown so that a failure can be read, and put into a file with `printf`.
#[derive(Clone)]
struct Input(Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}

fn try_out(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "fuzz/seeds/{name} has no seeds");
    seeds.iter().for_each(|seed| (target.run)(seed));
    let config = Config { cases: target.tries, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let inputs = (select(seeds.clone()), vec(change(), 1..6)).prop_map(|(seed, changes)| Input(changed(seed, &changes, &seeds)));
    let run = |runner: &mut TestRunner| {
        let tried = runner.run(&inputs, |input: Input| {
            (target.run)(&input.0);
            Ok(())
        });
        tried.unwrap_or_else(|failure| panic!("{failure}"));
    };
    let Some(seconds) = std::env::var(SECONDS).ok() else {
        return run(&mut TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)));
    };
    let until = Instant::now() + Duration::from_secs(seconds.parse().expect("a number of seconds"));
    while Instant::now() < until {
        run(&mut TestRunner::new(config.clone()));
    }
}

#[test]
fn answers() {
    try_out("answers");
}

#[test]
fn documents() {
    try_out("documents");
}

#[test]
fn front() {
    try_out("front");
}

#[test]
fn sources() {
    try_out("sources");
}

#[test]
fn templates() {
    try_out("templates");
}

#[test]
fn uploads() {
    try_out("uploads");
}

#[test]
fn every_way_in_has_a_target_of_the_fuzzer_and_a_test() {
    let named = |folder: PathBuf| {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let names = TARGETS.map(|target| target.name);
    assert_eq!(named(folder().join("fuzz_targets")), names);
    assert_eq!(named(folder().join("seeds")), names);
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let own = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds.rs")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no target of fuzz/Cargo.toml");
        assert!(own.contains(&format!("try_out(\"{name}\")")), "{name} has no test");
    }
}
