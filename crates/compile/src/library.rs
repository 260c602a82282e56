//! Scripts that an upload imports: found in the store by the parent, read and linked by the child.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snaphook_model::{Code, Dialect, Fault, Import, Language, Name, Origin};
use snaphook_sandbox::{ImportedSource, Place, SourceMaps};

use crate::job::{CompileError, Upload};
use crate::script::{self, Outline, Request};
use crate::text::excerpt;

/// What a script can import is bounded: as many versions in all, in chains of this length, under so many names. Their bytes count into `source_bytes`.
pub(crate) const MAX_IMPORTS: usize = 64;
const MAX_DEPTH: usize = 16;
const MAX_ALIASES: usize = 256;
/// The module that the interpreter brings along.
const BUILT_IN: &str = "snaphook";
/// Begins the specifier of a script, and its file name in the interpreter.
pub(crate) const SCHEME: &str = "script:";

/// The future of [`Library::find`].
pub type LibraryFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<LibraryScript>, Fault>> + Send + 'a>>;

/// The scripts of the tenant whose upload is compiled.
pub trait Library: Send + Sync {
    /// A version of a script, or its latest. `None`: the tenant has no such thing.
    fn find<'a>(&'a self, script: &'a Name, version: Option<u32>) -> LibraryFuture<'a>;
}

/// A version that can be imported.
#[derive(Debug, Clone)]
pub struct LibraryScript {
    /// Its number.
    pub version: u32,
    /// As it was uploaded.
    pub language: Language,
    /// Of its source.
    pub dialect: Dialect,
    /// What was uploaded.
    pub bytes: Bytes,
    /// What it imports itself, as resolved at its own deploy.
    pub imports: Vec<Import>,
}

/// A library that has no scripts.
#[derive(Debug, Clone, Copy)]
pub struct EmptyLibrary;

impl Library for EmptyLibrary {
    fn find<'a>(&'a self, _: &'a Name, _: Option<u32>) -> LibraryFuture<'a> {
        Box::pin(async { Ok(None) })
    }
}

/// What the child asks the parent for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) script: Name,
    pub(crate) version: Option<u32>,
}

/// Answers, in the order of the questions.
pub(crate) type Ask<'a> = dyn FnMut(Vec<Wanted>) -> Result<Vec<Option<LibraryScript>>, CompileError> + 'a;

/// Everything that an upload imports.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    /// Each behind what it imports itself.
    pub(crate) modules: Vec<Module>,
    /// What a file calls a module, where that is not its own name: file, specifier, name.
    pub(crate) aliases: Vec<(String, String, String)>,
    /// What the upload itself imports; sorted.
    pub(crate) imports: Vec<Import>,
}

/// An imported version.
#[derive(Debug)]
pub(crate) struct Module {
    import: Import,
    /// For the interpreter.
    pub(crate) text: String,
    maps: SourceMaps,
    outline: Outline,
    pins: Vec<Import>,
    /// The upload's own import by which it comes.
    at: (u32, u32),
    /// Who imports it; none: the upload.
    by: Option<usize>,
    /// What it imports itself.
    requires: Vec<usize>,
}

impl Module {
    /// Its file name in the interpreter.
    pub(crate) fn file(&self) -> String {
        format!("{SCHEME}{}", self.import)
    }

    pub(crate) fn source(&self) -> ImportedSource {
        ImportedSource { name: self.import.to_string(), line: self.at.0, column: self.at.1, maps: self.maps.clone() }
    }
}

/// An import that has to be found.
struct Pending {
    /// Whose it is; none: the upload's.
    by: Option<usize>,
    specifier: String,
    names: Vec<(String, (u32, u32))>,
    wanted: Wanted,
    place: Spot,
}

/// Where an import stands: in the upload, or in a script that the upload imports.
#[derive(Clone)]
struct Spot {
    at: (u32, u32),
    origin: Option<Origin>,
}

impl Spot {
    fn fault(&self, code: Code, detail: &str) -> Fault {
        Fault::new(code, excerpt(detail)).at(self.at.0, self.at.1).from_file(self.origin.clone())
    }
}

/// Finds and reads what an upload imports, level by level, and checks that it all fits together.
///
/// `file` is the upload's file name in the interpreter, `maps` are its source maps.
pub(crate) fn link(upload: &Upload, file: &str, outline: &Outline, maps: &SourceMaps, ask: &mut Ask<'_>) -> Result<Linked, CompileError> {
    let mut linker =
        Linker { upload, file, maps, linked: Linked::default(), known: HashMap::new(), bytes: upload.bytes.len(), requires: Vec::new() };
    let mut pending = linker.pending(None, &outline.requests)?;
    for depth in 0.. {
        if pending.is_empty() {
            break;
        }
        if depth == MAX_DEPTH {
            let detail = format!("imports go deeper than {MAX_DEPTH} scripts: {}", linker.chain(&pending[0]));
            return Err(pending[0].place.fault(Code::ScriptCompile, &detail).of_limit(MAX_DEPTH as u64, None).into());
        }
        let first_new = linker.linked.modules.len();
        linker.find(&pending, ask)?;
        for import in pending {
            linker.bind(import)?;
        }
        pending = Vec::new();
        for index in first_new..linker.linked.modules.len() {
            let requests = std::mem::take(&mut linker.linked.modules[index].outline.requests);
            pending.extend(linker.pending(Some(index), &requests)?);
        }
    }
    Ok(linker.finish())
}

struct Linker<'u> {
    upload: &'u Upload,
    file: &'u str,
    maps: &'u SourceMaps,
    linked: Linked,
    known: HashMap<Wanted, usize>,
    bytes: usize,
    /// What the upload imports itself.
    requires: Vec<usize>,
}

impl Linker<'_> {
    /// What a file imports, with versions filled in where they are pinned already.
    fn pending(&self, by: Option<usize>, requests: &[Request]) -> Result<Vec<Pending>, Fault> {
        let pins = by.map_or(&self.upload.imports, |index| &self.linked.modules[index].pins);
        let mut pending = Vec::new();
        for request in requests.iter().filter(|request| request.specifier != BUILT_IN) {
            let place = self.spot(by, request.at);
            let mut wanted = parse(&request.specifier).map_err(|wrong| place.fault(Code::ScriptCompile, &wrong.sentence(request)))?;
            if wanted.version.is_none() {
                wanted.version = pins.iter().find(|pin| pin.script == wanted.script).map(|pin| pin.version);
            }
            let (specifier, names) = (request.specifier.clone(), request.names.clone());
            let import = Pending { by, specifier, names, wanted, place };
            if import.wanted.script == self.upload.name {
                let detail = format!("a script cannot import itself: {}", self.chain(&import));
                return Err(import.place.fault(Code::ScriptCompile, &detail));
            }
            pending.push(import);
        }
        Ok(pending)
    }

    /// Where a place in a file's text that runs is.
    fn spot(&self, file: Option<usize>, place: (u32, u32)) -> Spot {
        match file.map(|index| &self.linked.modules[index]) {
            Some(module) => Spot { at: module.at, origin: module.maps.origin(&module.import.to_string(), place) },
            None => {
                let Place { uploaded, origin } = self.maps.place(place);
                Spot { at: uploaded.unwrap_or(place), origin }
            }
        }
    }

    /// `checkout → signing@2 → encoding`.
    fn chain(&self, import: &Pending) -> String {
        let mut names = vec![match import.wanted.version {
            Some(version) => format!("{}@{version}", import.wanted.script),
            None => import.wanted.script.to_string(),
        }];
        let mut by = import.by;
        while let Some(index) = by {
            names.push(self.linked.modules[index].import.to_string());
            by = self.linked.modules[index].by;
        }
        names.push(self.upload.name.to_string());
        names.reverse();
        names.join(" → ")
    }

    /// Gets what is not known yet, and reads it.
    fn find(&mut self, pending: &[Pending], ask: &mut Ask<'_>) -> Result<(), CompileError> {
        let mut wanted: Vec<(&Wanted, &Pending)> = Vec::new();
        let mut asked = BTreeSet::new();
        for import in pending {
            let key = (import.wanted.script.clone(), import.wanted.version);
            if !self.known.contains_key(&import.wanted) && asked.insert(key) {
                wanted.push((&import.wanted, import));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        if self.linked.modules.len() + wanted.len() > MAX_IMPORTS {
            let detail = format!("a script can import at most {MAX_IMPORTS} versions of other scripts, those included that they import");
            return Err(wanted[0].1.place.fault(Code::ScriptCompile, &detail).of_limit(MAX_IMPORTS as u64, None).into());
        }
        let found = ask(wanted.iter().map(|(wanted, _)| (*wanted).clone()).collect())?;
        for ((wanted, import), found) in wanted.into_iter().zip(found) {
            // The latest version may be known by its number, or become so.
            let number = found.as_ref().map(|found| found.version).or(wanted.version);
            let numbered = Wanted { script: wanted.script.clone(), version: number };
            let index = match self.known.get(&numbered) {
                Some(index) => *index,
                None => {
                    let module = self.read(import, found)?;
                    self.linked.modules.push(module);
                    self.linked.modules.len() - 1
                }
            };
            self.known.insert(numbered, index);
            self.known.insert(wanted.clone(), index);
        }
        Ok(())
    }

    fn read(&mut self, import: &Pending, found: Option<LibraryScript>) -> Result<Module, Fault> {
        let Wanted { script, version } = &import.wanted;
        let refused = |detail: &str| import.place.fault(Code::ScriptCompile, &format!("`{}` {detail}", import.specifier));
        let Some(found) = found else {
            return Err(refused(&match version {
                Some(version) => format!("is not found: there is no version {version} of a script `{script}`"),
                None => format!("is not found: there is no script `{script}`"),
            }));
        };
        if found.language == Language::Wasm {
            return Err(refused("is a component; only scripts in JavaScript and TypeScript can be imported"));
        }
        let dialect = self.upload.dialect;
        if found.dialect != dialect {
            return Err(refused(&format!("is written for the dialect `{}`, and what takes it for `{dialect}`", found.dialect)));
        }
        self.bytes += found.bytes.len();
        let limit = self.upload.limits.source_bytes;
        if self.bytes as u64 > limit {
            let detail = format!("the upload and what it imports have {} bytes together; the limit `source_bytes` is {limit}", self.bytes);
            return Err(import.place.fault(Code::SourceSize, &detail).of_limit(limit, Some(self.bytes as u64)));
        }
        let number = Import { script: script.clone(), version: found.version };
        let prepared = script::prepare(&found.bytes, found.language, dialect).map_err(|fault| {
            let origin = fault.line.zip(fault.column).map(|(line, column)| Origin { file: number.to_string(), line, column });
            Spot { at: import.place.at, origin }.fault(fault.code, &format!("`{}`: {}", import.specifier, fault.detail))
        })?;
        let outline = Outline::of(&prepared.text, dialect);
        Ok(Module {
            import: number,
            maps: prepared.maps(),
            text: prepared.text.into_owned(),
            outline,
            pins: found.imports,
            at: import.place.at,
            by: import.by,
            requires: Vec::new(),
        })
    }

    fn finish(self) -> Linked {
        let Self { linked: Linked { modules, aliases, mut imports }, requires, .. } = self;
        let mut order = Vec::new();
        requires.into_iter().for_each(|index| visit(&modules, index, &mut order));
        let mut modules: Vec<Option<Module>> = modules.into_iter().map(Some).collect();
        let modules = order.into_iter().filter_map(|index| modules[index].take()).collect();
        imports.sort_unstable();
        imports.dedup();
        Linked { modules, aliases, imports }
    }

    /// Ties an import to its module, which must have the names that are wanted.
    fn bind(&mut self, import: Pending) -> Result<(), Fault> {
        let Some(&index) = self.known.get(&import.wanted) else { return Ok(()) };
        let module = &self.linked.modules[index];
        let Outline { exports, exports_all, .. } = &module.outline;
        if let Some((name, at)) = import.names.iter().find(|(name, _)| !exports_all && !exports.contains(name)) {
            let has = if exports.is_empty() { "exports nothing".to_owned() } else { format!("exports {}", exports.join(", ")) };
            let detail = format!("`{SCHEME}{}` has no export `{name}`; it {has}", module.import);
            return Err(self.spot(import.by, *at).fault(Code::ScriptCompile, &detail));
        }
        let name = module.file();
        match import.by {
            None => {
                self.linked.imports.push(module.import.clone());
                self.requires.push(index);
            }
            Some(by) => self.linked.modules[by].requires.push(index),
        }
        if import.specifier != name {
            let base = import.by.map_or_else(|| self.file.to_owned(), |by| self.linked.modules[by].file());
            if self.linked.aliases.len() == MAX_ALIASES {
                let detail = format!("there are more than {MAX_ALIASES} imports without a version");
                return Err(import.place.fault(Code::ScriptCompile, &detail).of_limit(MAX_ALIASES as u64, None));
            }
            self.linked.aliases.push((base, import.specifier, name));
        }
        Ok(())
    }
}

/// Puts a module behind those that it requires. What is deeper than imports may be is not there.
fn visit(modules: &[Module], index: usize, order: &mut Vec<usize>) {
    if !order.contains(&index) {
        modules[index].requires.iter().for_each(|required| visit(modules, *required, order));
        order.push(index);
    }
}

/// Why a specifier names no script that there could be.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// It is none of a script.
    Elsewhere,
    /// What stands behind the `@` of this name is no number of a version.
    Version(String),
    /// Nothing can have this name.
    Name(String),
}

impl Wrong {
    /// What is wrong and what to do, in the words of the source.
    fn sentence(&self, Request { specifier, included, .. }: &Request) -> String {
        let written = included.as_ref().map_or_else(|| format!("\"{specifier}\""), |name| format!("bridge.include(\"{}\")", excerpt(name)));
        match self {
            Self::Elsewhere => format!(
                "cannot import {written}: a script can import \"{BUILT_IN}\" and other scripts, as in \"{SCHEME}name@2\"; what comes from npm is bundled by `snaphook deploy`"
            ),
            Self::Version(name) => {
                let scheme = if included.is_some() { "" } else { SCHEME };
                format!("{written} names no version; write \"{scheme}{name}@2\"")
            }
            Self::Name(name) => {
                let other = allowed(name).map_or_else(|| "under such a name".to_owned(), |other| format!("as `{other}`"));
                format!(
                    "{written} names no script: `{}` can be no script's name, which is 1 to 63 of a-z, A-Z, 0-9, `.`, `_` and `-`, with a letter or digit first; upload that script {other}, and use this name here",
                    excerpt(name)
                )
            }
        }
    }
}

/// The nearest text that can be a name, for who has to choose one.
fn allowed(name: &str) -> Option<String> {
    let kept = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' });
    let mut other = String::new();
    // One stroke for all that cannot stay side by side, and none at the ends.
    for c in kept.skip_while(|c| !c.is_ascii_alphanumeric()).take(63) {
        if c != '-' || !other.ends_with('-') {
            other.push(c);
        }
    }
    let other = other.trim_end_matches('-');
    Name::new(other).is_ok().then(|| other.to_owned())
}

/// Reads `script:NAME@VERSION` or `script:NAME`.
fn parse(specifier: &str) -> Result<Wanted, Wrong> {
    let name = specifier.strip_prefix(SCHEME).ok_or(Wrong::Elsewhere)?;
    let (name, version) = match name.split_once('@') {
        Some((name, version)) => {
            let number = version.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == version);
            (name, Some(number.ok_or_else(|| Wrong::Version(name.to_owned()))?))
        }
        None => (name, None),
    };
    let script = Name::new(name).map_err(|_| Wrong::Name(name.to_owned()))?;
    Ok(Wanted { script, version })
}

#[cfg(test)]
mod tests {
    use super::{Wrong, allowed, parse};
    use crate::script::Request;

    #[test]
    fn specifiers_are_read() {
        let read = |text: &str| parse(text).map(|wanted| (wanted.script.to_string(), wanted.version));
        assert_eq!(read("script:signing@2"), Ok(("signing".to_owned(), Some(2))));
        assert_eq!(read("script:a.b-c"), Ok(("a.b-c".to_owned(), None)));
        for wrong in ["fs", "./a.js", "Script:a"] {
            assert_eq!(read(wrong), Err(Wrong::Elsewhere), "{wrong}");
        }
        for wrong in ["script:a@", "script:a@0", "script:a@02", "script:a@-1", "script:a@4294967296", "script:a@1@2"] {
            assert_eq!(read(wrong), Err(Wrong::Version("a".to_owned())), "{wrong}");
        }
        for wrong in ["", "a/b", "_a"] {
            assert_eq!(read(&format!("script:{wrong}")), Err(Wrong::Name(wrong.to_owned())));
        }
        assert_eq!(read("script:@2"), Err(Wrong::Name(String::new())));
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_source() {
        let said = |specifier: &str, included: Option<&str>| {
            let included = included.map(str::to_owned);
            let request = Request { specifier: specifier.to_owned(), included, at: (1, 1), names: Vec::new() };
            parse(specifier).unwrap_err().sentence(&request)
        };
        for (specifier, included, parts) in [
            ("fs", None, &["cannot import \"fs\"", "\"script:name@2\""][..]),
            ("script:a@x", None, &["\"script:a@x\" names no version; write \"script:a@2\""]),
            ("script:a@x", Some("a@x"), &["bridge.include(\"a@x\") names no version; write \"a@2\""]),
            ("script:my helper", None, &["\"script:my helper\" names no script", "1 to 63 of a-z", "upload that script as `my-helper`"]),
            (
                "script:My Helper",
                Some("../My Helper.ccjs"),
                &["bridge.include(\"../My Helper.ccjs\")", "`My Helper` can be no", "as `My-Helper`"],
            ),
            ("script:", Some("lib/"), &["bridge.include(\"lib/\")", "upload that script under such a name"]),
        ] {
            let said = said(specifier, included);
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }

    #[test]
    fn other_names_can_be_names() {
        for (name, other) in [
            ("my helper", Some("my-helper")),
            ("  Größe (neu)!", Some("Gr-e-neu")),
            ("_private", Some("private")),
            ("a - b", Some("a-b")),
            ("v1.2_x", Some("v1.2_x")),
            ("äöü", None),
            ("", None),
        ] {
            assert_eq!(allowed(name).as_deref(), other, "{name}");
        }
        assert_eq!(allowed(&"n ".repeat(100)).unwrap().len(), 63);
    }
}
