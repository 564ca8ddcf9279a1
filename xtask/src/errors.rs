//! `docs/errors.md`, made from the table of codes in `crates/core/src/error.rs`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

pub const SOURCE: &str = "crates/core/src/error.rs";
pub const PAGE: &str = "docs/errors.md";

const HEAD: &str = "\
# Error codes

<!-- Written by `cargo xtask errors` from crates/core/src/error.rs. Change the codes there. -->

Jackfield's own failures are problem documents (`application/problem+json`, RFC 9457). Their `code` is one of
these and does not change its meaning; on `invoke` and the proxy the header `Jackfield-Error` carries it.
What a service answers through a connection, whatever its status, is a result and no error of Jackfield's.

`title` is the same in every case, `detail` speaks about this one, `errors` names each wrong field of the
input, and `request_id` finds the cause in the log.
";

#[derive(Debug, PartialEq, Eq)]
struct Code {
    word: String,
    status: u16,
    title: String,
    meaning: String,
}

pub fn write(root: &Path) -> Result<(), String> {
    let page = expected(root)?;
    let path = root.join(PAGE);
    fs::create_dir_all(root.join("docs"))
        .and_then(|()| fs::write(&path, page))
        .map_err(|e| format!("{PAGE}: {e}"))?;
    println!("wrote {PAGE}");
    Ok(())
}

/// The page as it should be.
pub fn expected(root: &Path) -> Result<String, String> {
    let source = fs::read_to_string(root.join(SOURCE)).map_err(|e| format!("{SOURCE}: {e}"))?;
    page(&source)
}

fn page(source: &str) -> Result<String, String> {
    let mut page = HEAD.to_owned();
    for Code { word, status, title, meaning } in codes(source)? {
        // Writing to a string does not fail.
        let _ = write!(page, "\n## {word}\n\n**{status}** {title}.\n\n{meaning}\n");
    }
    Ok(page)
}

/// The rows of the table. A line that is not understood is an error: a code must not get lost.
fn codes(source: &str) -> Result<Vec<Code>, String> {
    let mut lines = source.lines().enumerate().skip_while(|(_, line)| *line != "codes! {").skip(1);
    let (mut codes, mut docs, mut row) = (Vec::new(), Vec::new(), String::new());
    for (number, line) in &mut lines {
        let line = line.trim();
        if line == "}" {
            return if codes.is_empty() || !docs.is_empty() || !row.is_empty() {
                Err(format!("{SOURCE}: the `codes!` table ends too early"))
            } else {
                Ok(codes)
            };
        }
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim());
            continue;
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(line);
        if row.ends_with(';') {
            let (word, status, title) = parse_row(&row).filter(|_| !docs.is_empty()).ok_or_else(|| {
                format!(
                    "{SOURCE}:{}: expected doc comments, then `Name = \"code\", status, \"title\";`",
                    number + 1
                )
            })?;
            codes.push(Code { word, status, title, meaning: docs.join(" ") });
            docs.clear();
            row.clear();
        }
    }
    Err(format!("{SOURCE} has no `codes!` table"))
}

/// `Name = "code", status, "title";`
fn parse_row(row: &str) -> Option<(String, u16, String)> {
    let (_, row) = row.strip_suffix(';')?.split_once(" = ")?;
    let (word, row) = row.split_once(", ")?;
    let (status, title) = row.split_once(", ")?;
    let unquote = |text: &str| Some(text.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
    Some((unquote(word)?, status.parse().ok()?, unquote(title)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "macro_rules! codes {\n}\n\ncodes! {\n    /// It is gone.\n    /// Make another.\n    Gone = \"gone\", 410, \"Not here, any more\";\n    /// Short.\n    Full = \"full\",\n        507, \"No room\";\n}\n";

    #[test]
    fn rows_and_comments_are_joined() {
        let codes = codes(TABLE).unwrap();
        assert_eq!(codes.len(), 2);
        assert_eq!(codes[0].meaning, "It is gone. Make another.");
        assert_eq!(codes[0].title, "Not here, any more");
        assert_eq!((codes[1].word.as_str(), codes[1].status), ("full", 507));
    }

    #[test]
    fn the_page_has_a_heading_to_link_to() {
        let page = page(TABLE).unwrap();
        assert!(page.ends_with("\n## full\n\n**507** No room.\n\nShort.\n"), "{page}");
    }

    #[test]
    fn nothing_is_skipped_in_silence() {
        for broken in [
            String::new(),
            TABLE.replace("codes! {", "other! {"),
            TABLE.replace("    /// Short.\n", ""),
            TABLE.replace("410", "gone"),
            TABLE.replace("507, \"No room\";", "507, \"No room\""),
            TABLE.strip_suffix("}\n").unwrap().to_owned(),
        ] {
            assert!(codes(&broken).is_err(), "{broken}");
        }
    }
}
