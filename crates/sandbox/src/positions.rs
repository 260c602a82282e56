//! From positions in the text that runs to positions in the files it was made of.

use oxc_sourcemap::SourceMap;
use serde::{Deserialize, Serialize};
use snaphook_model::{Fault, Origin};

/// What a script's component says about its sources. Read when a fault needs it: faults are rare and maps are large.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sources {
    /// Of the uploaded script itself.
    #[serde(flatten)]
    pub maps: SourceMaps,
    /// Scripts that it imports, at whatever remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportedSource>,
}

/// Source maps of one upload, as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SourceMaps {
    /// From the text that runs to the upload, where those differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// From the upload to the files that were bundled into it. It counts characters, as we do, and holds no contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// An imported script.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportedSource {
    /// Such as `signing@2`.
    pub name: String,
    /// The import statement in the uploaded script by which it comes.
    pub line: u32,
    /// As `line`.
    pub column: u32,
    /// Of the imported script.
    #[serde(flatten)]
    pub maps: SourceMaps,
}

/// Where something is: in the upload, and in the file that it really is about when that is another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Line and column in the upload, from 1.
    pub uploaded: Option<(u32, u32)>,
    /// As in [`Fault`].
    pub origin: Option<Origin>,
}

/// Begins the file names of imported modules in stack traces.
const IMPORTED: &str = "script:";

impl Sources {
    /// Whether every place is the upload's own, so that nothing has to be kept.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.maps.map.is_none() && self.maps.bundle.is_none() && self.imports.is_empty()
    }

    /// The place of something at this line and column of the uploaded script's text that runs, with this stack trace.
    #[must_use]
    pub fn place(&self, at: Option<(u32, u32)>, stack: &str) -> Place {
        let own = at.map(|place| self.maps.place(place)).unwrap_or_default();
        match self.innermost(stack) {
            None => own,
            Some((import, place)) => {
                Place { uploaded: own.uploaded.or(Some((import.line, import.column))), origin: import.maps.origin(&import.name, place) }
            }
        }
    }

    /// The innermost frame of a stack trace, when it is an imported script's.
    fn innermost(&self, stack: &str) -> Option<(&ImportedSource, (u32, u32))> {
        let (file, place) = stack.lines().find_map(frame)?;
        let name = file.strip_prefix(IMPORTED)?;
        let import = self.imports.iter().find(|import| import.name == name)?;
        Some((import, place))
    }
}

/// File and place in a line of a stack trace: `    at f (script:signing@2:3:7)`. Code that has no file, such as an evaluated text, counts as none.
fn frame(line: &str) -> Option<(&str, (u32, u32))> {
    let text = line
        .rsplit_once('(')
        .map_or_else(|| line.trim_start().trim_start_matches("at "), |(_, text)| text.trim_end().trim_end_matches(')'));
    let mut parts = text.trim().rsplitn(3, ':');
    let (column, line, file) = (parts.next()?, parts.next()?, parts.next()?);
    (!file.starts_with('<')).then_some((file, (line.parse().ok()?, column.parse().ok()?)))
}

impl SourceMaps {
    /// The place of something in the text that runs, in the upload and in the file that was bundled there.
    #[must_use]
    pub fn place(&self, at: (u32, u32)) -> Place {
        let uploaded = self.uploaded(at);
        Place { uploaded, origin: uploaded.and_then(|place| self.bundled(place)) }
    }

    /// The same for a script that is imported under this name.
    #[must_use]
    pub fn origin(&self, name: &str, at: (u32, u32)) -> Option<Origin> {
        let Place { uploaded, origin } = self.place(at);
        let (line, column) = uploaded?;
        Some(match origin {
            Some(bundled) => Origin { file: format!("{name}/{}", bundled.file), ..bundled },
            None => Origin { file: name.to_owned(), line, column },
        })
    }

    /// The place in the upload of a place in the text that runs. `None` where the map knows none.
    fn uploaded(&self, place: (u32, u32)) -> Option<(u32, u32)> {
        let Some(map) = &self.map else { return Some(place) };
        let map = SourceMap::from_json_string(map).ok()?;
        let table = map.generate_lookup_table();
        // A place that came from nowhere takes that of the code before it.
        let token = map.lookup_token_approx(&table, place.0.checked_sub(1)?, place.1.saturating_sub(1))?;
        Some((token.get_src_line().checked_add(1)?, token.get_src_col().checked_add(1)?))
    }

    /// The file that was bundled into the upload at a place.
    fn bundled(&self, place: (u32, u32)) -> Option<Origin> {
        let map = SourceMap::from_json_string(self.bundle.as_ref()?).ok()?;
        let table = map.generate_lookup_table();
        let token = map.lookup_token(&table, place.0.checked_sub(1)?, place.1.saturating_sub(1))?;
        let file = map.get_source(token.get_source_id()?)?.to_owned();
        Some(Origin { file, line: token.get_src_line().checked_add(1)?, column: token.get_src_col().checked_add(1)? })
    }
}

impl Place {
    /// A fault at this place.
    #[must_use]
    pub fn of(self, fault: Fault) -> Fault {
        let fault = fault.from_file(self.origin);
        match self.uploaded {
            Some((line, column)) => fault.at(line, column),
            None => fault,
        }
    }
}

/// The section of a component, kept as it came.
pub(crate) struct Positions {
    section: Box<[u8]>,
}

impl Positions {
    /// Keeps a section. Empty: none, positions stay as they are.
    pub(crate) fn new(section: &[u8]) -> Option<Self> {
        (!section.is_empty()).then(|| Self { section: section.into() })
    }

    /// Memory that it takes.
    pub(crate) const fn bytes(&self) -> usize {
        self.section.len()
    }

    /// As [`Sources::place`]. A section that does not read knows no place.
    pub(crate) fn place(&self, at: Option<(u32, u32)>, stack: &str) -> Place {
        let sources = serde_json::from_slice::<Sources>(&self.section).ok();
        sources.map(|sources| sources.place(at, stack)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::Origin;

    use super::{ImportedSource, Place, Positions, SourceMaps, Sources};

    /// Line 1 column 5 came from line 3 column 9, line 2 from line 7.
    const MAP: &str = r#"{"version":3,"sources":["src/a.ts"],"names":[],"mappings":"IAEQ;AAIA"}"#;

    fn origin(file: &str, line: u32, column: u32) -> Option<Origin> {
        Some(Origin { file: file.to_owned(), line, column })
    }

    fn sources() -> Sources {
        let imported = |name: &str, maps: SourceMaps| ImportedSource { name: name.to_owned(), line: 1, column: 8, maps };
        let bundle = SourceMaps { map: None, bundle: Some(MAP.to_owned()) };
        Sources { maps: SourceMaps::default(), imports: vec![imported("signing@2", SourceMaps::default()), imported("b@1", bundle)] }
    }

    #[test]
    fn positions_go_through_the_map() {
        let maps = SourceMaps { map: Some(MAP.to_owned()), bundle: None };
        let section = serde_json::to_vec(&Sources { maps, imports: Vec::new() }).expect("plain data");
        let positions = Positions::new(&section).expect("a map");
        for (at, uploaded) in [((1, 5), (3, 9)), ((2, 1), (7, 9)), ((2, 40), (7, 9))] {
            assert_eq!(positions.place(Some(at), ""), Place { uploaded: Some(uploaded), origin: None });
        }
    }

    #[test]
    fn what_is_no_section_knows_no_place() {
        assert!(Positions::new(b"").is_none());
        assert_eq!(Positions::new(b"{oops").expect("kept unread").place(Some((1, 1)), ""), Place::default());
    }

    #[test]
    fn frames_of_imported_scripts_are_found() {
        let sources = sources();
        let stack = "    at map (native)\n    at sign (script:signing@2:3:7)\n    at preHook (a.js:9:2)\n";
        assert_eq!(sources.place(Some((9, 2)), stack), Place { uploaded: Some((9, 2)), origin: origin("signing@2", 3, 7) });
        assert_eq!(sources.place(None, "    at script:signing@2:3:7\n").uploaded, Some((1, 8)), "the import takes the place of a call");
        let own = "    at preHook (a.js:9:2)\n    at sign (script:signing@2:3:7)\n";
        assert_eq!(sources.place(Some((9, 2)), own), Place { uploaded: Some((9, 2)), origin: None });
        assert_eq!(sources.place(Some((9, 2)), "    at f (script:b@1:2:1)\n").origin, origin("b@1/src/a.ts", 7, 9));
        for stack in ["", "at", "(", "at f (script:other@1:2:3)", "at f (script:signing@2:x:3)", ":::"] {
            assert_eq!(sources.place(Some((9, 2)), stack), Place { uploaded: Some((9, 2)), origin: None }, "{stack}");
        }
    }

    #[test]
    fn bundled_files_are_named() {
        let sources = Sources { maps: SourceMaps { map: None, bundle: Some(MAP.to_owned()) }, imports: Vec::new() };
        assert_eq!(sources.place(Some((1, 5)), ""), Place { uploaded: Some((1, 5)), origin: origin("src/a.ts", 3, 9) });
    }
}
