//! Placeholders in a request become texts, each as the place that it stands in wants it.

use std::borrow::Cow;
use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use snaphook_model::{Code, Fault, HttpRequest, PLACEHOLDER, PLACEHOLDER_RANDOM};
use url::Url;

use super::Opened;
use crate::upload::{Piece, Upload};

/// What stands before the credentials of Basic authentication, which are sent in base64.
const BASIC: &str = "Basic ";
/// A placeholder in a URL or a form, where its colon may not stand.
const ENCODED: &str = "sealed%3A";

/// The values that may go where a request goes.
pub(crate) struct Filling<'a> {
    values: Vec<(&'a str, &'a str, &'a str)>,
    /// Bytes that may still be filled in.
    room: Cell<usize>,
}

/// Bytes of secrets that one request may carry, each counted as often as it is there: keys and tokens are a few kilobytes.
const MOST_FILLED: usize = 1 << 20;

/// How a text is written in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Of URLs and forms.
    Percent,
    /// Inside of a JSON string.
    Json,
}

impl<'a> Filling<'a> {
    pub(super) fn new(opened: &'a Opened<'_>, url: &Url) -> Self {
        let values = opened.allowed(url).map(|(value, text)| (value.placeholder.as_str(), value.name.as_str(), text)).collect();
        Self { values, room: Cell::new(MOST_FILLED) }
    }

    /// Fills a request in.
    pub(super) fn request(&self, request: &mut HttpRequest) -> Result<(), Fault> {
        if self.values.is_empty() {
            return Ok(());
        }
        if let Cow::Owned(url) = self.text(&request.url, Form::Percent) {
            request.url = url;
        }
        let form = body_form(request.headers.get("content-type").unwrap_or_default());
        for (name, value) in &mut request.headers.0 {
            let Cow::Owned(filled) = self.text(value, Form::Plain) else { continue };
            let credentials = filled.strip_prefix(BASIC).filter(|_| name.eq_ignore_ascii_case("authorization"));
            if let Some(credentials) = credentials {
                *value = format!("{BASIC}{}", STANDARD.encode(credentials));
                continue;
            }
            if let Some((_, secret, _)) = self.values.iter().find(|(_, _, text)| filled.contains(text) && !header_takes(text)) {
                let detail = format!("the secret `{secret}` holds characters that header `{name}` cannot have");
                return Err(Fault::new(Code::ScriptContract, detail));
            }
            *value = filled;
        }
        request.body = self.bytes(std::mem::take(&mut request.body), form);
        self.had_room()
    }

    /// Whether everything was filled in.
    fn had_room(&self) -> Result<(), Fault> {
        if self.room.get() > 0 {
            return Ok(());
        }
        let detail = format!("the request holds placeholders for more than {MOST_FILLED} bytes of secrets");
        Err(Fault::new(Code::ScriptContract, detail))
    }

    fn bytes(&self, bytes: Bytes, form: Form) -> Bytes {
        // A body that is no text holds no placeholder that anybody could have put there.
        match std::str::from_utf8(&bytes) {
            Ok(text) => match self.text(text, form) {
                Cow::Owned(filled) => filled.into(),
                Cow::Borrowed(_) => bytes,
            },
            Err(_) => bytes,
        }
    }

    /// The text with every placeholder that is known replaced; what is filled in is not looked into again.
    fn text<'t>(&self, text: &'t str, form: Form) -> Cow<'t, str> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((at, length)) = next(rest, form) {
            let random = rest.get(at + length..at + length + PLACEHOLDER_RANDOM);
            let known =
                random.and_then(|random| self.values.iter().find(|(placeholder, ..)| placeholder.get(PLACEHOLDER.len()..) == Some(random)));
            // What finds no room stays as it is, and the request is refused for it in the end.
            let known = known.filter(|(_, _, value)| {
                self.room.set(self.room.get().saturating_sub(value.len()));
                self.room.get() > 0
            });
            let Some((_, _, value)) = known else {
                out.push_str(&rest[..at + length]);
                rest = &rest[at + length..];
                continue;
            };
            out.push_str(&rest[..at]);
            match form {
                Form::Plain => out.push_str(value),
                Form::Percent => {
                    out.extend(url::form_urlencoded::byte_serialize(value.as_bytes()).map(|part| if part == "+" { "%20" } else { part }))
                }
                Form::Json => out.push_str(json_inside(value).as_str()),
            }
            rest = &rest[at + length + PLACEHOLDER_RANDOM..];
        }
        if rest.len() == text.len() {
            return Cow::Borrowed(text);
        }
        out.push_str(rest);
        Cow::Owned(out)
    }
}

/// Where the next placeholder begins, and how long what stands before its letters is.
fn next(text: &str, form: Form) -> Option<(usize, usize)> {
    let plain = text.find(PLACEHOLDER).map(|at| (at, PLACEHOLDER.len()));
    if form != Form::Percent {
        return plain;
    }
    let encoded = [ENCODED, "sealed%3a"].into_iter().filter_map(|encoded| Some((text.find(encoded)?, encoded.len())));
    encoded.chain(plain).min()
}

/// How texts are written in a body of this media type.
fn body_form(content_type: &str) -> Form {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == "application/x-www-form-urlencoded" {
        Form::Percent
    } else if media.ends_with("/json") || media.ends_with("+json") {
        Form::Json
    } else {
        Form::Plain
    }
}

/// A text as it stands between the quotes of a JSON string.
fn json_inside(text: &str) -> zeroize::Zeroizing<String> {
    let quoted = zeroize::Zeroizing::new(serde_json::Value::from(text).to_string());
    zeroize::Zeroizing::new(quoted[1..quoted.len() - 1].to_owned())
}

/// Whether a header takes a text: what is beyond ASCII means different things to different servers.
pub(super) fn header_takes(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'\t' | 0x20..0x7f))
}

/// The same for the texts of a form that is sent in pieces; files are sent as they are.
pub(crate) fn fill_form(opened: &Opened<'_>, upload: &Upload, url: &Url) -> Result<Upload, Fault> {
    let filling = Filling::new(opened, url);
    let piece = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => Piece::Bytes(filling.bytes(bytes.clone(), Form::Plain)),
        Piece::File { .. } => piece.clone(),
    };
    let filled = Upload::new(upload.pieces().iter().map(piece).collect());
    filling.had_room().map(|()| filled)
}
