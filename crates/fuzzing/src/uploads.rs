//! Uploads of WebAssembly, up to the compiler, which has a process of its own for them.

use std::cell::{Cell, RefCell};
use std::panic::{PanicHookInfo, UnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use snaphook_compile::as_component;
use snaphook_model::{Blame, Code};

/// Takes the bytes as an upload. Either there is a component, or a fault that says what is wrong with the upload.
pub fn uploads(bytes: &[u8]) {
    let bytes = bytes.to_vec();
    match asserted(|| as_component(bytes)) {
        Some(Ok(component)) => assert!(component.starts_with(b"\0asm"), "what is no WebAssembly was taken for a component"),
        Some(Err(fault)) => {
            assert!(matches!(fault.code, Code::ComponentInvalid | Code::ComponentImports) && fault.blame() == Blame::Guest, "{fault:?}");
            // A sentence of the upload's own choice is cut.
            assert!(!fault.detail.is_empty() && fault.detail.len() < 10_000, "{} bytes of detail", fault.detail.len());
        }
        None => {}
    }
}

thread_local! {
    /// Whether a library is at work here that may panic.
    static MAY_PANIC: Cell<bool> = const { Cell::new(false) };
    /// What a panic of our own code said meanwhile.
    static OURS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does what libraries do that assert what they expect of wasm: the child that they run in takes a panic of theirs as a refusal, and so do we, which
/// is none of the fuzzer's business. A panic of our own code is, whoever would have caught it.
fn asserted<T>(work: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| if MAY_PANIC.get() { note(panic) } else { before(panic) }));
    });
    MAY_PANIC.set(true);
    let done = catch_unwind(work);
    MAY_PANIC.set(false);
    if let Some(ours) = OURS.take() {
        panic!("{ours}");
    }
    done.ok()
}

fn note(panic: &PanicHookInfo<'_>) {
    if panic.location().is_some_and(|place| is_ours(place.file())) {
        OURS.set(Some(panic.to_string()));
    }
}

/// Whether a file is of this repository: named from its root where that is what is built, and from the root of all files in the fuzzer's own build.
fn is_ours(file: &str) -> bool {
    let (file, own) = (Path::new(file), Path::new(env!("CARGO_MANIFEST_DIR")));
    file.starts_with("crates") || own.parent().is_some_and(|crates| file.starts_with(crates))
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use bytes::Bytes;

    use super::{asserted, is_ours};

    #[test]
    fn a_panic_of_a_library_is_a_refusal_and_one_of_ours_is_not() {
        let asked = asserted(|| Bytes::from_static(b"a").slice(2..));
        assert!(asked.is_none(), "the library says that there is no such piece");
        assert_eq!(asserted(|| 1), Some(1));
        let ours = catch_unwind(|| asserted(|| panic!("on purpose")).unwrap_or(())).expect_err("it is passed on");
        assert!(ours.downcast_ref::<String>().is_some_and(|told| told.contains("on purpose")));
        assert_eq!(asserted(|| 2), Some(2), "it is told once");
    }

    #[test]
    fn our_files_are_known_by_their_place() {
        assert!(is_ours(file!()) && is_ours("crates/compile/src/upload.rs"));
        assert!(is_ours(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")));
        for foreign in
            ["/home/a/.cargo/registry/src/x/wit-component-0.254.2/src/lib.rs", "/rustc/x/library/core/src/option.rs", "src/lib.rs"]
        {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
