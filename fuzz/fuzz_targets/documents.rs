//! See `crates/fuzzing/src/documents.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snaphook_fuzzing::documents(bytes));
