//! From positions in the text that runs to positions in the text that was uploaded.

use oxc_sourcemap::SourceMap;

/// A source map as the component brought it. Parsed when a fault needs it: faults are rare and maps are large.
pub(crate) struct Positions {
    map: Box<str>,
}

impl Positions {
    /// Keeps a map. Empty or unreadable: none, positions stay as they are.
    pub(crate) fn new(map: &[u8]) -> Option<Self> {
        let map = std::str::from_utf8(map).ok().filter(|map| !map.is_empty())?;
        Some(Self { map: map.into() })
    }

    /// Memory that the map takes.
    pub(crate) const fn bytes(&self) -> usize {
        self.map.len()
    }

    /// The place in the upload, both from 1. `None` where the map knows none.
    pub(crate) fn uploaded(&self, line: u32, column: u32) -> Option<(u32, u32)> {
        let map = SourceMap::from_json_string(&self.map).ok()?;
        let table = map.generate_lookup_table();
        let token = map.lookup_token(&table, line.checked_sub(1)?, column.saturating_sub(1))?;
        Some((token.get_src_line().checked_add(1)?, token.get_src_col().checked_add(1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Positions;

    #[test]
    fn positions_go_through_the_map() {
        // Line 1 column 5 came from line 3 column 9, line 2 from line 7.
        let map = br#"{"version":3,"sources":["a.ts"],"names":[],"mappings":"IAEQ;AAIA"}"#;
        let positions = Positions::new(map).expect("a map");
        assert_eq!(positions.uploaded(1, 5), Some((3, 9)));
        assert_eq!(positions.uploaded(2, 1), Some((7, 9)));
        assert_eq!(positions.uploaded(2, 40), Some((7, 9)));
    }

    #[test]
    fn what_is_no_map_changes_nothing() {
        assert!(Positions::new(b"").is_none());
        let positions = Positions::new(b"{oops").expect("kept unread");
        assert_eq!(positions.uploaded(1, 1), None);
    }
}
