//! The dashboard's files as a node serves them: to everybody, with types and a policy that a browser keeps to.

use http::header;
use snaphook_dashboard::asset;

use crate::support::{node, problem};

/// What nothing of the dashboard may do, to the letter: a change of it is a decision.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[tokio::test]
async fn every_answer_has_the_policy() {
    let client = node().anonymous();
    for (path, file, content_type) in [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/dashboard/index.html", "index.html", "text/html; charset=utf-8"),
        ("/dashboard/app.js", "app.js", "text/javascript; charset=utf-8"),
        ("/dashboard/lib/dom.js", "lib/dom.js", "text/javascript; charset=utf-8"),
        ("/dashboard/style.css", "style.css", "text/css; charset=utf-8"),
        ("/dashboard/icon.svg", "icon.svg", "image/svg+xml"),
        ("/dashboard/vendor/snaphook.d.ts", "vendor/snaphook.d.ts", "text/plain; charset=utf-8"),
    ] {
        let answer = client.get(path).await.expect(200);
        assert_eq!(answer.body, asset(file).unwrap().bytes, "{path}");
        for (name, value) in [
            (header::CONTENT_TYPE, content_type),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-cache"),
        ] {
            assert_eq!(answer.header(name.as_str()), Some(value), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let client = node().anonymous();
    let first = client.get("/dashboard/app.js").await.expect(200);
    let etag = first.header("etag").unwrap().to_owned();
    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let again = client.send("GET", "/dashboard/app.js", &[("if-none-match", &known)], bytes::Bytes::new()).await.expect(304);
        assert!(again.body.is_empty(), "{known}");
        assert_eq!((again.header("etag"), again.header("content-security-policy")), (Some(etag.as_str()), Some(POLICY)), "{known}");
    }
    let changed = client.send("GET", "/dashboard/app.js", &[("if-none-match", "\"other\"")], bytes::Bytes::new()).await.expect(200);
    assert_eq!(changed.body, first.body);
    let other = client.get("/dashboard/lib/dom.js").await.expect(200);
    assert_ne!(other.header("etag"), Some(etag.as_str()), "another file has another tag");
}

#[tokio::test]
async fn nothing_else_is_there() {
    let client = node().anonymous();
    for path in [
        "/dashboard/none.js",
        "/dashboard/lib",
        "/dashboard/..%2fCargo.toml",
        "/dashboard/%2e%2e/Cargo.toml",
        "/dashboard/vendor/package.json",
    ] {
        let answer = client.get(path).await.expect(404);
        assert_eq!(problem(&answer).0, "not-found", "{path}");
    }
    let answer = client.send("POST", "/dashboard/app.js", &[], bytes::Bytes::new()).await.expect(405);
    assert_eq!(problem(&answer).0, "method-not-allowed");
}
