//! Forms whose fields are texts and files (RFC 7578), framed as browsers do.
//!
//! The boundary follows from what is in the form, so that the same form is the same bytes every time, and nobody can write a content that holds
//! its own boundary.

use snaphook_egress::{Piece, Upload};

use crate::files::SavedFile;

/// One field.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) field: &'a str,
    pub(crate) content: Content<'a>,
}

#[derive(Debug)]
pub(crate) enum Content<'a> {
    Text(&'a str),
    /// With its name.
    File(&'a str, &'a SavedFile),
}

/// A form, framed.
#[derive(Debug)]
pub(crate) struct Multipart {
    pub(crate) content_type: String,
    pieces: Vec<Piece>,
    /// For the record: what goes out, with a note in place of each file.
    pub(crate) shown: String,
}

impl Multipart {
    pub(crate) fn new(parts: &[Part<'_>]) -> Self {
        let boundary = boundary(parts);
        let mut form = Self { content_type: format!("multipart/form-data; boundary={boundary}"), pieces: Vec::new(), shown: String::new() };
        for part in parts {
            form.text(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(part.field)));
            match part.content {
                Content::Text(text) => form.text(format!("\r\n\r\n{text}\r\n")),
                Content::File(name, file) => {
                    form.text(format!("; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n", quoted(name), file.content_type));
                    form.pieces.push(Piece::File { path: file.path().clone(), bytes: file.bytes });
                    form.shown += &file.shown(name);
                    form.text("\r\n".to_owned());
                }
            }
        }
        form.text(format!("--{boundary}--\r\n"));
        form
    }

    fn text(&mut self, text: String) {
        self.shown += &text;
        self.pieces.push(Piece::Bytes(text.into()));
    }

    /// The body to be sent.
    pub(crate) fn upload(&self) -> Upload {
        Upload::new(self.pieces.clone())
    }
}

/// What must not end the quoted text or the line is written as browsers write it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\u{0}'..='\u{1f}' | '\u{7f}' => quoted += &format!("%{:02X}", u32::from(c)),
            _ => quoted.push(c),
        }
    }
    quoted
}

fn boundary(parts: &[Part<'_>]) -> String {
    let mut hasher = blake3::Hasher::new();
    // With its length before it, no text can pass for two.
    let mut add = |kind: u8, bytes: &[u8]| {
        hasher.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    for part in parts {
        add(0, part.field.as_bytes());
        match part.content {
            Content::Text(text) => add(1, text.as_bytes()),
            Content::File(name, file) => {
                add(2, name.as_bytes());
                add(3, file.content_type.as_bytes());
                add(4, &file.digest);
            }
        }
    }
    format!("snaphook-{}", &hasher.finalize().to_hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(parts: &[(&str, &str)]) -> Multipart {
        let parts: Vec<_> = parts.iter().map(|(field, text)| Part { field, content: Content::Text(text) }).collect();
        Multipart::new(&parts)
    }

    #[test]
    fn fields_are_framed() {
        let form = texts(&[("a", "1"), ("b", "")]);
        let boundary = form.content_type.strip_prefix("multipart/form-data; boundary=").unwrap().to_owned();
        let expected = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n\r\n--B--\r\n";
        assert_eq!(form.upload().bytes(), form.shown.len() as u64);
        assert_eq!(form.shown, expected.replace('B', &boundary));
    }

    #[test]
    fn a_field_cannot_leave_its_header() {
        let form = texts(&[("a\"; x=\"\r\nX-Y: 1\r\n\r\nevil\0", "1")]);
        let (header, _) = form.shown.split_once("\r\n\r\n").unwrap();
        assert_eq!(header.lines().count(), 2);
        assert!(header.ends_with("form-data; name=\"a%22; x=%22%0D%0AX-Y: 1%0D%0A%0D%0Aevil%00\""), "{header}");
    }

    #[test]
    fn the_same_form_is_the_same_bytes_and_another_has_another_boundary() {
        let form = |parts: &[(&str, &str)]| texts(parts).content_type;
        assert_eq!(form(&[("a", "1"), ("b", "2")]), form(&[("a", "1"), ("b", "2")]));
        let others = [form(&[("a", "1"), ("b", "3")]), form(&[("a", "1b"), ("", "2")]), form(&[("b", "2"), ("a", "1")]), form(&[])];
        assert!(!others.contains(&form(&[("a", "1"), ("b", "2")])));
        // A text that holds the boundary of an earlier form moves its own.
        let first = form(&[("a", "1")]);
        let boundary = first.rsplit('=').next().unwrap();
        assert!(!form(&[("a", boundary)]).ends_with(boundary));
    }
}
