//! The source map that a bundler put into its output, so that places can be told in the files that were bundled.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oxc_sourcemap::{SourceMap, Token};

use super::lines::Lines;

const COMMENT: &str = "//# sourceMappingURL=data:application/json";
const ENCODING: &str = ";base64,";
/// A file's name in a bundle; longer ones are cut at the front, where they say least.
const MAX_NAME: usize = 200;

/// The map at the end of an upload, without names and contents, its columns in characters. `None` when there is none that can be read: it is
/// a help for people and no part of the script.
pub(crate) fn map_of(upload: &str) -> Option<String> {
    let (text, comment) = upload.rsplit_once(COMMENT)?;
    let (_, encoded) = comment.split_once(ENCODING)?;
    let json = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let map = SourceMap::from_json_string(std::str::from_utf8(&json).ok()?).ok()?;
    let lines = Lines::of(text);
    // Columns of the bundle are ours to count; those of the files, which are not here, stay as the bundler counted them.
    let tokens = map.get_tokens().map(|token| {
        let column = lines.column(token.get_dst_line(), token.get_dst_col());
        Token::new(token.get_dst_line(), column, token.get_src_line(), token.get_src_col(), token.get_source_id(), None)
    });
    let tokens: Vec<Token> = tokens.collect();
    let sources = map.get_sources().map(|name| Cow::Owned(shown(name)));
    Some(SourceMap::new(None, Vec::new(), None, sources.collect(), Vec::new(), tokens.into(), None).to_json_string())
}

fn shown(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let start = name.len().saturating_sub(MAX_NAME);
    name[name.ceil_char_boundary(start)..].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::map_of;

    #[test]
    fn a_bundles_map_is_read_without_its_contents() {
        let map = r#"{"version":3,"sources":["../src/a.ts"],"sourcesContent":["secret"],"names":["x"],"mappings":"IAEQ;AAIA"}"#;
        let upload = format!("    a;\nb;\n//# sourceMappingURL=data:application/json;charset=utf-8;base64,{}\n", STANDARD.encode(map));
        let kept = map_of(&upload).expect("a map");
        assert!(kept.contains("\"../src/a.ts\"") && !kept.contains("secret"), "{kept}");
        assert!(kept.contains("IAEQ;AAIA"), "{kept}");
        for none in [
            "",
            "a;",
            "//# sourceMappingURL=a.js.map",
            "//# sourceMappingURL=data:application/json;base64,%%",
            "//# sourceMappingURL=data:application/json;base64,e30=",
        ] {
            assert_eq!(map_of(none).filter(|map| map.contains("\"sources\":[\"")), None, "{none}");
        }
    }
}
