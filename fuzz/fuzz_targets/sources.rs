//! See `crates/fuzzing/src/sources.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snaphook_fuzzing::sources(bytes));
