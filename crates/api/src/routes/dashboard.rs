//! The dashboard's files: the same for everybody, and without anything that a script from elsewhere could use.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use snaphook_dashboard::{Asset, INDEX, asset};

use crate::answer::{self, Answer};
use crate::extract::At;
use crate::problem::{Problem, ProblemDetails};

/// Scripts, styles, pictures and requests from and to this node alone; nothing inline, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Open the dashboard
#[utoipa::path(get, path = "/", tag = "node", responses((status = 200, content(("text/html"))), (status = 304)))]
pub(crate) async fn index(headers: HeaderMap) -> Answer {
    serve(INDEX, &headers)
}

/// Read a file of the dashboard
#[utoipa::path(get, path = "/dashboard/{file}", tag = "node", params(("file" = String, Path, description = "such as `lib/dom.js`")),
    responses((status = 200, description = "the file, of its own media type", content(("*/*"))), (status = 304),
        (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn file(At(file): At<String>, headers: HeaderMap) -> Answer {
    serve(&file, &headers)
}

fn serve(path: &str, asked: &HeaderMap) -> Answer {
    let Asset { bytes, content_type, etag } = asset(path).ok_or_else(|| Problem::not_found(format!("file `{path}` of the dashboard")))?;
    let mut response = if is_known(asked, etag) {
        let mut unchanged = Response::new(axum::body::Body::empty());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        answer::bytes(StatusCode::OK, HeaderValue::from_static(content_type), Bytes::from_static(bytes))
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_str(etag).map_err(|_| Problem::internal("a tag is no header".to_owned()))?);
    let fixed: [(HeaderName, &'static str); 5] = [
        // Kept, and asked after each time: the files of one release fit together.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Ok(response)
}

/// Whether the client has these bytes already.
fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    let tags = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag)
}
