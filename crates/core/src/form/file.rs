//! Files in records: how one is named, and how it is told from what was sent.

use serde_json::{Value, json};

use super::value::{essence, is_media_type, matches_type};
use crate::id::{self, Prefix};

/// Longest name of a file, in characters.
pub const FILENAME_MAX: usize = 200;
/// What a file is called whose name is empty, or nothing but what is taken out of it.
const NAMELESS: &str = "file";

/// A file's name as it is kept: what stands behind the last `/` or `\`, without control characters and without those that turn or hide what
/// stands beside them (`invoice\u{202e}fdp.exe` reads as a PDF), without blanks and dots around it, and not longer than may be.
#[must_use]
pub fn clean_filename(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control() && !is_unseen(*c)).collect();
    let is_edge = |c: char| c.is_whitespace() || c == '.';
    let plain = plain.trim_matches(is_edge);
    // The ending says what it is: it stays when the rest is too long.
    let length = plain.chars().count();
    let name = match plain
        .rsplit_once('.')
        .filter(|(_, ending)| length > FILENAME_MAX && ending.chars().count() < 20)
    {
        Some((stem, ending)) => {
            let room = FILENAME_MAX.saturating_sub(ending.chars().count() + 1);
            let stem: String = stem.chars().take(room).collect();
            format!("{}.{ending}", stem.trim_end_matches(is_edge))
        }
        None => plain.chars().take(FILENAME_MAX).collect::<String>().trim_end_matches(is_edge).to_owned(),
    };
    let name = name.trim_matches(is_edge);
    if name.is_empty() { NAMELESS.to_owned() } else { name.to_owned() }
}

/// Marks of direction, and what takes no room (Unicode, `Bidi_Control`, and the characters of no width).
const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A media type as it is kept; what is none is said to be any bytes. Nobody looks whether the bytes are of that type.
#[must_use]
pub fn clean_media_type(given: &str) -> String {
    let kind = essence(given);
    if is_media_type(&kind) { kind } else { "application/octet-stream".to_owned() }
}

/// What stands in a record of a file that is kept.
#[must_use]
pub fn file_reference(id: &str, filename: &str, content_type: &str, size: usize) -> Value {
    json!({"file": id, "filename": filename, "content_type": content_type, "size": size})
}

/// The id of the file that a value of a record refers to.
#[must_use]
pub fn file_id(value: &Value) -> Option<&str> {
    value.get("file")?.as_str().filter(|text| id::is(Prefix::File, text))
}

/// Whether this is a file that somebody sends, not one that is kept.
#[must_use]
pub fn is_upload(value: &Value) -> bool {
    value.get("base64").is_some()
}

/// Whether a file is one of `image/*`, `application/pdf` or `.pdf`.
pub(super) fn matches_file(accepted: &str, kind: &str, filename: &str) -> bool {
    if accepted.starts_with('.') {
        return filename.to_lowercase().ends_with(&accepted.to_lowercase());
    }
    matches_type(accepted, kind)
}

/// Whether it is the ending of a file's name, such as `.pdf`, in lower case.
pub(super) fn is_ending(text: &str) -> bool {
    text.strip_prefix('.').is_some_and(|ending| {
        (1..=20).contains(&ending.len())
            && ending
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_files_are_made_harmless() {
        for (given, kept) in [
            ("report.pdf", "report.pdf"),
            ("Ünïcode Name 文.pdf", "Ünïcode Name 文.pdf"),
            ("C:\\Users\\ann\\cv.pdf", "cv.pdf"),
            ("../../etc/passwd", "passwd"),
            ("..", "file"),
            ("", "file"),
            (" . ", "file"),
            (".bashrc", "bashrc"),
            ("a\r\nSet-Cookie: x\0.txt", "aSet-Cookie: x.txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\u{200b}\u{2066}b\u{feff}.txt", "ab.txt"),
            ("quote\".txt", "quote\".txt"),
        ] {
            assert_eq!(clean_filename(given), kept, "{given:?}");
        }
        let long = format!("{}.tar.gz", "x".repeat(500));
        let kept = clean_filename(&long);
        assert!(kept.rsplit('.').next() == Some("gz") && kept.chars().count() == FILENAME_MAX, "{kept}");
        assert_eq!(clean_filename(&"é".repeat(500)).chars().count(), FILENAME_MAX);
    }

    #[test]
    fn endings_and_types() {
        for (accepted, fits) in [
            ("image/*", true),
            ("image/png", true),
            (".png", true),
            (".PNG", true),
            ("application/pdf", false),
            (".jpg", false),
        ] {
            assert_eq!(matches_file(accepted, "image/png", "Photo.PNG"), fits, "{accepted}");
        }
        assert!(is_ending(".pdf") && is_ending(".tar.gz") && is_ending(".7z"));
        assert!(!is_ending("pdf") && !is_ending(".") && !is_ending(".PDF") && !is_ending(".p df"));
    }

    proptest! {
        #[test]
        fn a_name_that_is_kept_is_kept_as_it_is(given in "\\PC{0,300}|[a-z./\\\\ \u{202e}]{0,20}") {
            let once = clean_filename(&given);
            prop_assert_eq!(clean_filename(&once), once.clone());
            prop_assert!(!once.is_empty() && once.chars().count() <= FILENAME_MAX);
            let harmful = ["/", "\\", "\0", "\n", "\u{202e}"];
            prop_assert!(harmful.iter().all(|part| !once.contains(part)));
        }
    }
}
