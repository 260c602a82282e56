//! C declarations made from the WIT world and from the JavaScript preludes.

use std::fmt::Write as _;
use std::path::Path;

use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

use crate::Failure;

/// The world that the interpreter implements: every hook.
const WORLD: &str = "hooks";

/// Writes `hooks.c` and `hooks.h` for the world.
pub(crate) fn generate(wit: &Path, out: &Path) -> Result<(), Failure> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).map_err(|error| format!("guest-sdk/wit: {error:#}"))?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(|error| format!("guest-sdk/wit: {error:#}"))?;
    let options = wit_bindgen_c::Opts { no_object_file: true, ..wit_bindgen_c::Opts::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).map_err(|error| format!("wit-bindgen: {error:#}"))?;
    for (name, content) in files.iter() {
        write(&out.join(name), content)?;
    }
    Ok(())
}

/// Dialects in the order of their numbers, from 1; 0 is the native one, which needs no prelude. The compiler counts in the same order.
const DIALECTS: [&str; 3] = ["patchworks", "braincloud", "prismatic"];

/// Writes `preludes.h`, every prelude in the order of the file names, and `dialects.h`, every dialect's prelude in the order of their numbers.
pub(crate) fn embed_preludes(glue: &Path, out: &Path) -> Result<(), Failure> {
    let folder = glue.join("prelude");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".js"))
        .collect();
    names.sort();
    embed(&folder, &names, "preludes", out)?;
    let names: Vec<_> = DIALECTS.iter().map(|name| format!("{name}.js")).collect();
    embed(&glue.join("dialects"), &names, "dialects", out)
}

/// Writes a header with a table of files as arrays of bytes.
fn embed(folder: &Path, names: &[String], table: &str, out: &Path) -> Result<(), Failure> {
    let (mut texts, mut rows) = (String::new(), String::new());
    for (index, name) in names.iter().enumerate() {
        let text = std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let bytes = text.iter().chain([&0]).map(u8::to_string).collect::<Vec<_>>().join(",");
        let _ = writeln!(texts, "static const char {table}_{index}[] = {{{bytes}}};");
        let _ = writeln!(rows, "    {{\"snaphook:{name}\", {table}_{index}, {}}},", text.len());
    }
    let header =
        format!("{texts}static const struct {{ const char *name; const char *text; unsigned length; }} {table}[] = {{\n{rows}}};\n");
    write(&out.join(table).with_extension("h"), header.as_bytes())
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
