//! Makes components out of core WebAssembly text. The text uses the names that `wit-component` gives to functions of the world.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A place in memory with zeros behind it: as an answer of `step` it says `ok(none)`.
pub(crate) const KEEP: &str = "(i32.const 1024)";

/// A component of a world with these imports and exports, such as `import log` or `export step`.
pub(crate) fn component(world: &[&str], module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/wit");
    resolve.push_dir(directory).expect("the WIT of the guest SDK");
    let items: String = world.iter().map(|item| item.replacen(' ', " snaphook:hook/", 1) + "@0.1.0;\n").collect();
    let package = resolve.push_str("guest.wit", &format!("package test:guest;\nworld guest {{\n{items}}}")).expect("a world");
    let world = resolve.select_world(&[package], Some("guest")).expect("the world");
    let mut module = wat::parse_str(module).unwrap_or_else(|error| panic!("{error}\n{module}"));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).expect("a module");
    encoder.encode().unwrap_or_else(|error| panic!("{error:?}"))
}

/// A guest whose step is this code. It leaves the place of the answer on the stack; the place of the arguments is local 0.
pub(crate) fn stepper(world: &[&str], items: &str, code: &str) -> Vec<u8> {
    let world: Vec<_> = world.iter().copied().chain(["export step"]).collect();
    component(&world, &module(items, code))
}

/// The module of [`stepper`]. Memory begins with 2 pages; what the host passes is put from 64 KiB on.
pub(crate) fn module(items: &str, code: &str) -> String {
    // Imports must come first, other items may.
    let (imports, others): (Vec<_>, Vec<_>) = items.lines().partition(|line| line.trim_start().starts_with("(import"));
    format!(
        r#"(module
  {imports}
  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1)))))
    (local.get $at))
  {others}
  (func (export "snaphook:hook/step@0.1.0#step") (param i32) (result i32) {code}))"#,
        imports = imports.join("\n"),
        others = others.join("\n"),
    )
}

/// Code that answers `ok(some(payload))` with bytes of its memory, as JSON.
pub(crate) fn give(start: &str, length: &str) -> String {
    format!(
        r#"(i32.store (i32.const 2052) (i32.const 1))
    (i32.store (i32.const 2056) {start}) (i32.store (i32.const 2060) {length})
    (i32.store (i32.const 2064) (i32.const 512)) (i32.store (i32.const 2068) (i32.const 16))
    (i32.const 2048)"#
    )
}

/// The content type that [`give`] points to.
pub(crate) const JSON: &str = r#"(data (i32.const 512) "application/json")"#;
