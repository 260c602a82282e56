//! Between the domain's messages and the HTTP client's.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use reqwest::Response;
use snaphook_model::connector::{METHODS, is_framing_header};
use snaphook_model::{Code, Fault, Headers, HttpResponse};
use snaphook_telemetry::TraceContext;

use crate::room::Room;
use crate::{Sink, fault};

/// Headers that go to another origin after a redirect. A list of what may go, since credentials stand in headers of any name.
const HARMLESS: [&str; 5] = ["accept", "accept-encoding", "accept-language", "range", "user-agent"];

/// Headers of a response that are about the connection it came by (RFC 9110, 7.6.1), and mean nothing to who gets it from us.
const HOP_BY_HOP: [&str; 8] =
    ["connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// A method that a request may have. `CONNECT`, above all, would open a tunnel past every check.
pub(crate) fn method(text: &str) -> Result<Method, Fault> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if METHODS.contains(&text) => Ok(method),
        _ => Err(Fault::new(Code::ScriptContract, format!("`{text}` is no method; there are {}", METHODS.join(", ")))),
    }
}

/// The headers to send; to another origin than the request's own, the harmless ones only.
///
/// # Errors
/// `script-contract`, naming the header, or where there are too many. Whoever made the request has checked already; a header that frames it would smuggle another one
/// behind it, so it is checked again at the last place that can.
pub(crate) fn request_headers(headers: &Headers, own_origin: bool) -> Result<HeaderMap, Fault> {
    let refused = |name: &str, reason: &str| Fault::new(Code::ScriptContract, format!("header `{}` {reason}", name.escape_debug()));
    if headers.0.len() > MAX_HEADERS {
        let detail = format!("a request has at most {MAX_HEADERS} headers, and this one has {}", headers.0.len());
        return Err(Fault::new(Code::ScriptContract, detail));
    }
    let mut map = HeaderMap::with_capacity(headers.0.len() + ADDED_HEADERS);
    for (name, value) in headers.iter() {
        if is_framing_header(name) {
            return Err(refused(name, "is set by the node itself and cannot be given"));
        }
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused(name, "has a name that HTTP does not allow"))?;
        let value = HeaderValue::from_str(value).map_err(|_| refused(name, "has a value that HTTP does not allow"))?;
        if own_origin || HARMLESS.contains(&header.as_str()) {
            map.append(header, value);
        }
    }
    Ok(map)
}

/// Tells the upstream of the request's span. A request that tells of another one, or of something else by that name, keeps what it says.
pub(crate) fn trace(headers: &mut HeaderMap, context: &TraceContext) {
    const PARENT: HeaderName = HeaderName::from_static("traceparent");
    const STATE: HeaderName = HeaderName::from_static("tracestate");
    if headers.contains_key(PARENT) || headers.contains_key(STATE) {
        return;
    }
    headers.extend(HeaderValue::from_str(&context.traceparent()).ok().map(|value| (PARENT, value)));
    let state = context.state.as_deref().and_then(|state| HeaderValue::from_str(state).ok());
    headers.extend(state.map(|value| (STATE, value)));
}

/// `user-agent`, `accept`, `accept-encoding`, `host`, `content-length`, `traceparent` and `tracestate`, added further down.
const ADDED_HEADERS: usize = 7;

/// No upstream takes as many, and a map of headers has an end, beyond which it panics.
const MAX_HEADERS: usize = 1_000;

/// Reads the whole answer, its body into the sink where that wants it.
///
/// # Errors
/// `response-size`, what ended the connection, or what the sink says.
pub(crate) async fn receive(
    response: Response,
    method: &Method,
    max_bytes: u64,
    room: Room,
    host: &str,
    sink: Option<&mut (dyn Sink + '_)>,
) -> Result<HttpResponse, Fault> {
    let status = response.status();
    let headers = response_headers(response.headers());
    // These have no body whatever their headers say, and an encoding that is named must not make one be looked for.
    let bodiless = method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let sink = sink.and_then(|sink| sink.wants(status.as_u16()).then_some(sink));
    let body = if bodiless { Bytes::new() } else { body(response, max_bytes, room, host, sink).await? };
    Ok(HttpResponse { status: status.as_u16(), headers, body })
}

async fn body(
    mut response: Response,
    max_bytes: u64,
    mut room: Room,
    host: &str,
    mut sink: Option<&mut (dyn Sink + '_)>,
) -> Result<Bytes, Fault> {
    let too_large = |used: u64| {
        Fault::new(Code::ResponseSize, format!("the body from `{host}` is larger than {max_bytes} bytes")).of_limit(max_bytes, Some(used))
    };
    let length = response.content_length();
    if let Some(length) = length.filter(|&length| length > max_bytes) {
        return Err(too_large(length));
    }
    let (mut whole, mut used) = (Parts::None, 0);
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(room.around(whole.into_bytes())),
            Err(error) => return Err(fault::of_client(error, host)),
        };
        used += chunk.len() as u64;
        if used > max_bytes {
            return Err(too_large(used));
        }
        match sink.as_mut() {
            Some(sink) => sink.write(chunk).await?,
            None => whole = whole.and(chunk, length, &mut room)?,
        }
        // Unpacking is work that never waits by itself; others get their turn.
        tokio::task::consume_budget().await;
    }
}

/// A body so far. One that came in one piece, as most do, is not copied.
enum Parts {
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Parts {
    /// With one piece more, after there is room for it.
    fn and(self, chunk: Bytes, length: Option<u64>, room: &mut Room) -> Result<Self, Fault> {
        let needed = usize::try_from(self.len()).unwrap_or(usize::MAX).saturating_add(chunk.len());
        let mut all = match self {
            Self::None => {
                room.grow_to(needed as u64)?;
                return Ok(Self::One(chunk));
            }
            Self::One(first) => {
                // What a peer promises is believed up to a mebibyte.
                let promised = length.map_or(0, |length| usize::try_from(length.min(1 << 20)).unwrap_or_default());
                let capacity = promised.max(needed);
                room.grow_to(capacity as u64)?;
                let mut all = BytesMut::with_capacity(capacity);
                all.extend_from_slice(&first);
                all
            }
            Self::Many(all) => all,
        };
        if needed > all.capacity() {
            let capacity = needed.max(all.capacity().saturating_mul(2));
            room.grow_to(capacity as u64)?;
            all.reserve(capacity - all.len());
        }
        all.extend_from_slice(&chunk);
        Ok(Self::Many(all))
    }

    fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::One(bytes) => bytes.len() as u64,
            Self::Many(bytes) => bytes.len() as u64,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

fn response_headers(map: &HeaderMap) -> Headers {
    let named: Vec<String> = map.get_all(CONNECTION).iter().flat_map(connection_options).collect();
    let kept = map.iter().filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()) && !named.iter().any(|n| n == name.as_str()));
    kept.map(|(name, value)| (name.as_str(), text_of(value))).collect()
}

/// The headers that `connection` declares to be about the connection.
fn connection_options(value: &HeaderValue) -> impl Iterator<Item = String> + '_ {
    let options = value.to_str().unwrap_or_default().split(',').map(|option| option.trim().to_ascii_lowercase());
    options.filter(|option| !matches!(option.as_str(), "" | "close" | "keep-alive"))
}

/// As UTF-8, which most who send more than ASCII mean; where it is none, as Latin-1, which HTTP once said it was.
fn text_of(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_utf8_or_latin1() {
        assert_eq!(text_of(&HeaderValue::from_bytes("naïve".as_bytes()).unwrap()), "naïve");
        assert_eq!(text_of(&HeaderValue::from_bytes(b"na\xefve").unwrap()), "naïve");
    }

    #[test]
    fn what_frames_a_request_is_refused_by_name() {
        for (name, value) in
            [("Host", "x"), ("content-length", "1"), ("TE", "trailers"), ("a b", "x"), ("x-a", "1\r\nhost: x"), ("x\n", ""), ("", "x")]
        {
            let headers: Headers = [(name, value)].into_iter().collect();
            let fault = request_headers(&headers, true).unwrap_err();
            assert_eq!(fault.code, Code::ScriptContract);
            assert!(fault.detail.contains(&format!("`{}`", name.escape_debug())), "{}", fault.detail);
        }
    }
}
