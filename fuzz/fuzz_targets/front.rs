//! See `crates/fuzzing/src/front.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snaphook_fuzzing::front(bytes));
