//! See `crates/fuzzing/src/templates.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snaphook_fuzzing::templates(bytes));
