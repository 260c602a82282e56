//! See `crates/fuzzing/src/answers.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snaphook_fuzzing::answers(bytes));
