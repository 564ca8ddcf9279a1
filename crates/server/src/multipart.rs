//! `multipart/form-data` (RFC 7578), as browsers send forms in which files are chosen. The stream is taken apart by `multer`, while it comes
//! in; what the headers of a part say is read here as browsers write it.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use jackfield_core::{Code, Error};
use multer::Multipart;

use crate::uploads::{Incoming, Unread};

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
    let found = multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()?;
    // RFC 2046 §5.1.1.
    (1..=70).contains(&found.len()).then_some(found)
}

/// Why parts were not read to their end.
#[derive(Debug, thiserror::Error)]
#[error("the body was not read")]
struct Stopped(Unread);

fn broken() -> Unread {
    let why = "The form cannot be read: it broke off. Send it again.";
    Unread::Refused(Error::new(Code::InvalidRequest, why))
}

/// What became of the stream, as far as anybody has to know it.
fn why(error: multer::Error) -> Unread {
    match error {
        multer::Error::StreamReadFailed(inner) => {
            inner.downcast::<Stopped>().map_or_else(|_| broken(), |stopped| stopped.0)
        }
        _ => broken(),
    }
}

/// The parts of a body, in their order.
pub(crate) async fn parts(body: Incoming, boundary: &str) -> Result<Vec<Part>, Unread> {
    let chunks = stream::try_unfold(body, async |mut body: Incoming| {
        Ok::<_, Stopped>(body.chunk().await.map_err(Stopped)?.map(|bytes| (bytes, body)))
    });
    let mut form = Multipart::new(chunks, boundary);
    let mut parts = Vec::new();
    while let Some(mut field) = form.next_field().await.map_err(why)? {
        if parts.len() >= PARTS_MAX {
            let why = format!("The form has more than {PARTS_MAX} parts.");
            return Err(Unread::Refused(Error::new(Code::RequestTooLarge, why)));
        }
        let mut part = part(field.headers()).ok_or_else(broken)?;
        // A part that has come in one piece is not copied.
        let first = field.chunk().await.map_err(why)?.unwrap_or_default();
        part.bytes = match field.chunk().await.map_err(why)? {
            None => first,
            Some(second) => {
                let mut all = BytesMut::from(first);
                all.extend_from_slice(&second);
                while let Some(more) = field.chunk().await.map_err(why)? {
                    all.extend_from_slice(&more);
                }
                all.freeze()
            }
        };
        parts.push(part);
    }
    Ok(parts)
}

/// A part without its bytes.
fn part(headers: &HeaderMap) -> Option<Part> {
    // Browsers write names in the encoding of the page, which is UTF-8.
    let header = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let disposition = header(CONTENT_DISPOSITION)?;
    if !disposition.split(';').next()?.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    Some(Part {
        name: parameter(&disposition, "name")?,
        filename: parameter(&disposition, "filename"),
        content_type: header(CONTENT_TYPE)
            .map_or_else(|| "text/plain".to_owned(), |kind| kind.trim().to_owned()),
        bytes: Bytes::new(),
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::FutureExt as _;
    use http::{HeaderValue, Request};
    use proptest::prelude::*;

    use super::*;

    /// Of a body that comes in pieces of so many bytes; it never waits for what has come.
    fn read_in(body: &[u8], size: usize, boundary: &str) -> Result<Vec<Part>, Unread> {
        let (request, ()) = Request::new(()).into_parts();
        let pieces: Vec<_> = body
            .chunks(size)
            .map(|piece| Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(stream::iter(pieces));
        parts(Incoming::new(&request, body, 1 << 20), boundary)
            .now_or_never()
            .expect("it waits for more than there is")
    }

    fn read(body: &str) -> Result<Vec<Part>, Unread> {
        read_in(body.as_bytes(), usize::MAX, "X")
    }

    #[test]
    fn parts_are_read_as_browsers_write_them() {
        let body = "before\r\n--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n--X \t\r\n\
            content-disposition: Form-Data; name=\"f %22q%22; x\"; filename=\"a;b=c%0D%0A.png\"\r\nContent-Type: image/png\r\n\r\n\
            \0--X\r\n\r\n--X\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\
            \r\n--X--\r\nafter";
        let found = read(body).unwrap();
        for size in [1, 2, 3, 7, 50] {
            assert_eq!(read_in(body.as_bytes(), size, "X").unwrap(), found, "in pieces of {size}");
        }
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
        let Err(Unread::Refused(error)) = read(&format!("{many}--X--")) else { panic!("all were taken") };
        assert_eq!(error.code, Code::RequestTooLarge);
        assert!(matches!(read(&"x".repeat((1 << 20) + 1)), Err(Unread::TooLarge)));
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
            let found = read_in(&body, 64, "b0undary").unwrap();
            prop_assert_eq!(found.iter().map(|part| part.bytes.to_vec()).collect::<Vec<_>>(), files);
        }

        #[test]
        fn nothing_panics(body in "(--X|\r\n|Content-Disposition: form-data; name=\"a\"|;|\"|=|[a-z -]){0,30}") {
            let _ = read(&body);
        }
    }
}
