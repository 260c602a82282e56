//! Sources of scripts, up to the interpreter: their syntax, their types, what they import and export.

use std::panic::resume_unwind;
use std::thread::{Builder, scope};

use snaphook_compile::read_source;
use snaphook_model::{Blame, Dialect, Fault, Language};

/// Bytes of an input that are read. What they nest is read by functions that call themselves, which the stack below has room for; what is nested
/// more deeply ends a child, and only that.
const MOST: usize = 4 << 10;
/// Memory is taken of it only where it is used.
const STACK: usize = 512 << 20;

/// Reads the bytes as a source of each language and dialect. Either the interpreter gets a text in which every place is where it was, or there is a fault
/// that says where the source is wrong.
pub fn sources(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let read = || Dialect::ALL.into_iter().for_each(|dialect| each_language(bytes, dialect));
    scope(|scope| {
        let reading = Builder::new().stack_size(STACK).spawn_scoped(scope, read).expect("a thread");
        if let Err(panic) = reading.join() {
            resume_unwind(panic);
        }
    });
}

fn each_language(bytes: &[u8], dialect: Dialect) {
    match read_source(bytes, Language::JavaScript, dialect) {
        Ok((text, mapped)) => assert!(text.as_bytes() == bytes && !mapped, "JavaScript was changed: {text:?}"),
        Err(fault) => refused(&fault),
    }
    let (text, mapped) = match read_source(bytes, Language::TypeScript, dialect) {
        Ok(read) => read,
        Err(fault) => return refused(&fault),
    };
    if !mapped {
        let source = String::from_utf8_lossy(bytes);
        assert_eq!(shape(&text), shape(&source), "{source:?} became {text:?}");
    }
    // What is left is read by the interpreter as JavaScript, which may refuse what only types made right.
    if let Err(fault) = read_source(text.as_bytes(), Language::JavaScript, dialect) {
        refused(&fault);
    }
}

/// How long each line of a text is: where it is the same, so are all places.
fn shape(text: &str) -> Vec<usize> {
    text.split('\n').map(|line| line.chars().count()).collect()
}

fn refused(fault: &Fault) {
    assert!(fault.blame() == Blame::Guest && !fault.detail.is_empty() && fault.detail.chars().count() < 10_000, "{fault:?}");
    assert!(fault.line != Some(0) && fault.column != Some(0), "places count from 1: {fault:?}");
}
