//! `multipart/form-data` (RFC 7578), as browsers send forms in which files are chosen. A body is read when it is there as a whole: whoever
//! reads it has bounded it.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use jackfield_core::{Code, Error, Result};

/// Parts that a form may have: more than the largest form has fields.
const PARTS_MAX: usize = 2_000;

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub name: String,
    /// of a file, also where none was chosen: it is empty then
    pub filename: Option<String>,
    pub content_type: String,
    pub bytes: Bytes,
}

/// What stands between the parts, where a request is of this type.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (essence, parameters) = kind.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let found = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    // RFC 2046 §5.1.1.
    (1..=70).contains(&found.len()).then_some(found)
}

/// The parts of a body, in their order. No byte of a file is copied.
pub(crate) fn parts(body: &Bytes, boundary: &str) -> Result<Vec<Part>> {
    let broken = || Error::new(Code::InvalidRequest, "The form cannot be read: it broke off. Send it again.");
    let between = format!("\r\n--{boundary}");
    let first = format!("--{boundary}");
    let mut parts = Vec::new();
    // What stands before the first one is passed over (RFC 2046 §5.1.1).
    let mut at = if body.starts_with(first.as_bytes()) {
        first.len()
    } else {
        find(body, between.as_bytes(), 0).ok_or_else(broken)? + between.len()
    };
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        // Blanks may stand behind a boundary.
        let line = find(body, b"\r\n", at).ok_or_else(broken)?;
        if !body.get(at..line).unwrap_or_default().iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(broken());
        }
        let head = line + 2;
        let blank = find(body, b"\r\n\r\n", line).ok_or_else(broken)?;
        let content = blank + 4;
        // A part without any bytes: its end begins with the line end of the blank line.
        let end = find(body, between.as_bytes(), blank + 2).ok_or_else(broken)?;
        let headers = if blank < head { &[][..] } else { body.get(head..blank).unwrap_or_default() };
        if parts.len() >= PARTS_MAX {
            return Err(Error::new(
                Code::RequestTooLarge,
                format!("The form has more than {PARTS_MAX} parts."),
            ));
        }
        parts.push(part(headers, body.slice(content.min(end)..end)).ok_or_else(broken)?);
        at = end + between.len();
    }
}

fn part(headers: &[u8], bytes: Bytes) -> Option<Part> {
    // Browsers write names in the encoding of the page, which is UTF-8.
    let headers = String::from_utf8_lossy(headers);
    let header = |wanted: &str| {
        headers.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then_some(value.trim())
        })
    };
    let disposition = header("content-disposition")?;
    if !disposition.split(';').next()?.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    Some(Part {
        name: parameter(disposition, "name")?,
        filename: parameter(disposition, "filename"),
        content_type: header("content-type").unwrap_or("text/plain").to_owned(),
        bytes,
    })
}

/// A quoted parameter, with what the WHATWG has escaped in it (HTML, "multipart/form-data encoding algorithm").
fn parameter(disposition: &str, wanted: &str) -> Option<String> {
    let mut rest = disposition;
    while let Some(at) = rest.find(';') {
        rest = rest.get(at + 1..)?;
        let (name, value) = rest.split_once('=')?;
        let value = value.strip_prefix('"')?;
        let end = value.find('"')?;
        if name.trim().eq_ignore_ascii_case(wanted) {
            let text = value.get(..end)?;
            return Some(text.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"));
        }
        rest = value.get(end + 1..)?;
    }
    None
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(body.get(from..)?, wanted).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Result<Vec<Part>> {
        parts(&Bytes::copy_from_slice(body.as_bytes()), "X")
    }

    #[test]
    fn parts_are_read_as_browsers_write_them() {
        let body = "before\r\n--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n--X \t\r\n\
            content-disposition: Form-Data; name=\"f %22q%22; x\"; filename=\"a;b=c%0D%0A.png\"\r\nContent-Type: image/png\r\n\r\n\
            \0--X\r\n\r\n--X\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\
            \r\n--X--\r\nafter";
        let found = read(body).unwrap();
        let said: Vec<(&str, Option<&str>, &str, &[u8])> = found
            .iter()
            .map(|part| {
                (part.name.as_str(), part.filename.as_deref(), part.content_type.as_str(), &part.bytes[..])
            })
            .collect();
        assert_eq!(
            said,
            [
                ("a", None, "text/plain", &b"one\r\ntwo"[..]),
                ("f \"q\"; x", Some("a;b=c\r\n.png"), "image/png", &b"\0--X\r\n"[..]),
                ("none", Some(""), "application/octet-stream", &b""[..]),
            ]
        );
        assert!(read("--X--").unwrap().is_empty());
        for broken in [
            "",
            "--X",
            "--X\r\n",
            "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none",
            "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--X",
            "--X\r\n\r\none\r\n--X--",
            "--X\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\none\r\n--X--",
            "--Xy\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--X--",
        ] {
            assert!(read(broken).is_err(), "{broken:?}");
        }
        let many = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n".repeat(PARTS_MAX + 1);
        assert_eq!(read(&format!("{many}--X--")).unwrap_err().code, Code::RequestTooLarge);
    }

    #[test]
    fn a_boundary_is_found() {
        let of = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            boundary(&headers)
        };
        assert_eq!(of("multipart/form-data; boundary=----a1").as_deref(), Some("----a1"));
        assert_eq!(of("Multipart/Form-Data; charset=utf-8; Boundary=\"x y\"").as_deref(), Some("x y"));
        assert_eq!(of("multipart/form-data"), None);
        assert_eq!(of("multipart/form-data; boundary="), None);
        assert_eq!(of("application/x-www-form-urlencoded"), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let mut body = Vec::new();
            for (index, file) in files.iter().enumerate() {
                body.extend_from_slice(
                    format!("--b0undary\r\nContent-Disposition: form-data; name=\"f{index}\"; filename=\"x\"\r\n\r\n").as_bytes());
                body.extend_from_slice(file);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--b0undary--\r\n");
            let found = parts(&Bytes::from(body), "b0undary").unwrap();
            prop_assert_eq!(found.iter().map(|part| part.bytes.to_vec()).collect::<Vec<_>>(), files);
        }

        #[test]
        fn nothing_panics(body in "(--X|\r\n|Content-Disposition: form-data; name=\"a\"|;|\"|=|[a-z -]){0,30}") {
            let _ = read(&body);
        }
    }
}
