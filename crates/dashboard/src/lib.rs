//! The dashboard: its files, as bytes. It knows nothing of the node that serves them; what they show they ask of the public API.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};

/// Written by hand.
static ASSETS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets");
/// Made by the build script: the editor's bundle where there is one, and the types of the SDK for its completion.
static VENDOR: Dir<'_> = include_dir!("$OUT_DIR/vendor");

/// The page that loads all others.
pub const INDEX: &str = "index.html";

/// Where the build put axe-core, with which tests look for what keeps people out; none without npm.
pub const AXE: Option<&str> = option_env!("SNAPHOOK_AXE");

/// One file.
#[derive(Debug, Clone)]
pub struct Asset {
    /// All of it.
    pub bytes: &'static [u8],
    /// Its media type.
    pub content_type: &'static str,
    /// Names these bytes: another text, another tag. Quoted, as it stands in a header.
    pub etag: String,
}

/// The file at this path, such as `app.js`, `lib/dom.js` or `vendor/editor.js`; none where the dashboard has no such file.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    static FILES: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
        let mut files = BTreeMap::new();
        collect(&ASSETS, "", &mut files);
        collect(&VENDOR, "vendor/", &mut files);
        files
    });
    FILES.get(path)
}

fn collect(directory: &'static Dir<'static>, prefix: &str, files: &mut BTreeMap<String, Asset>) {
    for file in directory.files() {
        let Some(content_type) = file.path().extension().and_then(|extension| content_type(extension.to_str()?)) else { continue };
        let etag = format!("\"{}\"", &blake3::hash(file.contents()).to_hex()[..32]);
        files.insert(format!("{prefix}{}", file.path().display()), Asset { bytes: file.contents(), content_type, etag });
    }
    directory.dirs().for_each(|inner| collect(inner, prefix, files));
}

/// Every kind of file that the dashboard has. Another kind is not served: the browser would guess what it is.
fn content_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        // Types of the SDK, read as text.
        "ts" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{ASSETS, Dir, INDEX, asset, content_type};

    fn every_file(directory: &'static Dir<'static>, check: &mut dyn FnMut(&str, &str)) {
        for file in directory.files() {
            check(&file.path().display().to_string(), file.contents_utf8().expect("every file is text"));
        }
        directory.dirs().for_each(|inner| every_file(inner, check));
    }

    #[test]
    fn every_file_is_served_under_its_path() {
        let mut count = 0;
        every_file(&ASSETS, &mut |path, text| {
            let extension = path.rsplit('.').next().unwrap_or_default();
            assert!(content_type(extension).is_some(), "{path}: give this kind of file a media type");
            assert_eq!(asset(path).map(|asset| asset.bytes), Some(text.as_bytes()), "{path}");
            count += 1;
        });
        assert!(count > 10, "{count} files");
        assert!(asset(INDEX).is_some() && asset("none.js").is_none() && asset("../Cargo.toml").is_none());
    }

    #[test]
    fn nothing_asks_for_what_the_policy_forbids() {
        every_file(&ASSETS, &mut |path, text| {
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "style=\"", "onclick=\""]
            {
                assert!(!text.contains(forbidden), "{path}: {forbidden}");
            }
            // Names of namespaces are no addresses that anybody asks.
            let text = text.replace("http://www.w3.org/", "");
            let addresses: Vec<_> = text.match_indices("https://").chain(text.match_indices("http://")).collect();
            for (at, _) in addresses {
                let rest: String = text[at..].chars().take(60).collect();
                assert!(rest.contains(".example") || rest.contains("127.0.0.1") || rest.contains("://\""), "{path}: {rest}");
            }
        });
    }
}
