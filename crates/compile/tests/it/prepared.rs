//! The interpreter in its data directory.

use std::time::{Duration, Instant};

use snaphook_compile::prepare_interpreter;
use tempfile::TempDir;

use crate::support::{INTERPRETER, data_dir};

#[test]
fn what_is_kept_is_verified_and_made_again_when_it_is_damaged() {
    let copy = TempDir::new().unwrap();
    let (name, wasm) = (INTERPRETER.name.clone(), INTERPRETER.wasm.clone());
    let target = copy.path().join("interpreter");
    std::fs::create_dir(&target).unwrap();
    for entry in std::fs::read_dir(data_dir().join("interpreter")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        // The key stays as it is.
        if path.extension().is_some_and(|extension| extension == "cwasm") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        std::fs::write(target.join(path.file_name().unwrap()), bytes).unwrap();
    }
    let again = prepare_interpreter(copy.path()).unwrap();
    assert_eq!((again.name, again.wasm), (name, wasm));
    let started = Instant::now();
    prepare_interpreter(copy.path()).unwrap();
    // Compiling would take seconds.
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}
