//! Compiled code on disk: found again, and never trusted unseen.

use std::fs;
use std::path::PathBuf;

use snaphook_sandbox::{CodeStore, ProgramKey, Sandbox, check_component};

use crate::guests::{KEEP, stepper};
use crate::support::{Bench, limits, open, step};

fn file(bench: &Bench, key: &ProgramKey) -> PathBuf {
    bench.directory.path().join("code").join(format!("{key}.cwasm"))
}

#[tokio::test]
async fn code_is_found_again_after_a_restart() {
    let bench = Bench::new();
    let component = stepper(&[], "", KEEP);
    bench.program(&component);
    let again = open(&bench.directory, None);
    let program = again.load(&Sandbox::key(&component)).expect("loads").expect("is there");
    assert!(again.invoke(&program, step(limits())).await.result.is_ok());
}

#[test]
fn changed_code_is_removed_and_absent() {
    let component = stepper(&[], "", KEEP);
    let key = Sandbox::key(&component);
    let code = check_component(&component, None).expect("a guest").code;
    let bench = Bench::new();
    let path = file(&bench, &key);
    let tamperings: [fn(&mut Vec<u8>); 5] = [
        |file| file[40] ^= 1,
        |file| *file.last_mut().expect("content") ^= 1,
        |file| file[0] ^= 1,
        |file| file.truncate(20),
        |file| file.push(0),
    ];
    for (number, tamper) in tamperings.into_iter().enumerate() {
        bench.sandbox.admit(&key, &code).expect("admitted");
        let mut content = fs::read(&path).expect("the file");
        tamper(&mut content);
        fs::write(&path, content).expect("written");
        assert!(bench.sandbox.load(&key).expect("no error").is_none(), "tampering {number} was not seen");
        assert!(!path.exists(), "tampering {number} left the file");
    }
}

#[test]
fn one_programs_code_is_not_anothers() {
    let bench = Bench::new();
    let component = stepper(&[], "", KEEP);
    bench.program(&component);
    let other = ProgramKey::of(b"other");
    fs::copy(file(&bench, &Sandbox::key(&component)), file(&bench, &other)).expect("copied");
    assert!(bench.sandbox.load(&other).expect("no error").is_none());
}

#[test]
fn anothers_seal_does_not_open_here() {
    let (here, there) = (Bench::new(), Bench::new());
    let component = stepper(&[], "", KEEP);
    let key = Sandbox::key(&component);
    there.program(&component);
    fs::copy(file(&there, &key), file(&here, &key)).expect("copied");
    assert!(here.sandbox.load(&key).expect("no error").is_none());
}

#[test]
fn code_of_another_build_is_absent() {
    let bench = Bench::new();
    let key = ProgramKey::of(b"old");
    // Sealed by us, but not what this release writes.
    for code in [&b"snapart0...."[..], b"snapart1\0\0\0\0 not what wasmtime writes", b""] {
        bench.sandbox.admit(&key, code).expect("admitted");
        assert!(bench.sandbox.load(&key).expect("no error").is_none());
        assert!(!file(&bench, &key).exists());
    }
}

#[cfg(unix)]
#[test]
fn the_key_is_the_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let path = bench.directory.path().join("code/seal.key");
    assert_eq!(fs::metadata(&path).expect("the key").permissions().mode() & 0o777, 0o600);
    // Whoever opens the directory next uses the same one.
    let before = fs::read(&path).expect("the key");
    let store = CodeStore::open(&bench.directory.path().join("code")).expect("opens");
    store.put(&ProgramKey::of(b"x"), b"code").expect("written");
    assert_eq!(store.get(&ProgramKey::of(b"x")).as_deref(), Some(&b"code"[..]));
    assert_eq!(fs::read(&path).expect("the key"), before);
}

#[test]
fn a_torn_key_is_made_anew() {
    let bench = Bench::new();
    let component = stepper(&[], "", KEEP);
    bench.program(&component);
    fs::write(bench.directory.path().join("code/seal.key"), b"short").expect("written");
    let again = open(&bench.directory, None);
    assert!(again.load(&Sandbox::key(&component)).expect("no error").is_none());
}

#[test]
fn loading_is_done_once_and_bounded() {
    let bench = Bench::new();
    let component = stepper(&[], "", KEEP);
    bench.program(&component);
    let key = Sandbox::key(&component);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(bench.sandbox.load(&key).expect("loads").is_some()));
        }
    });
    let (programs, bytes) = bench.sandbox.loaded();
    assert_eq!(programs, 1);
    assert!((10_000..500_000).contains(&bytes), "{bytes}");
}
