//! See `crates/fuzzing/src/uploads.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snaphook_fuzzing::uploads(bytes));
