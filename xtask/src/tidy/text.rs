//! What may not stand in a file, line by line.
//!
//! Words that are looked for are put together from halves here, so that these lines do not find themselves.

/// Unfinished work, and where it belongs instead.
const UNFINISHED: [&str; 3] = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("db", "g!")];
const NOTES: [&str; 2] = [concat!("FIX", "ME"), concat!("X", "XX")];

/// How an SQL statement begins inside a string.
const SQL: [&str; 4] = [
    concat!("\"sel", "ect "),
    concat!("\"ins", "ert into "),
    concat!("\"upd", "ate "),
    concat!("\"del", "ete from "),
];

/// Where developers and build machines keep their files.
const MACHINES: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

const NO_TRAILING_SPACE: &[&str] = &["rs", "md", "toml", "sql", "html", "css", "js"];

pub fn all(path: &str, content: &str) -> Vec<String> {
    [unfinished, sql_outside_store, spaces, end_of_file, machine_paths]
        .iter()
        .flat_map(|check| check(path, content))
        .collect()
}

fn unfinished(path: &str, content: &str) -> Vec<String> {
    if !is(path, &["rs"]) {
        return Vec::new();
    }
    lines(path, content, |line| {
        let word = UNFINISHED
            .iter()
            .find(|word| stands_alone(line, word))
            .or_else(|| NOTES.iter().find(|word| stands_alone(line, word)))?;
        Some(format!("`{word}` is unfinished work; finish it, or open an issue and take it out"))
    })
}

/// A simple look, no parser: whoever builds statements elsewhere on purpose can hide them from it.
fn sql_outside_store(path: &str, content: &str) -> Vec<String> {
    let product = path.starts_with("crates/") && path.contains("/src/") && !path.starts_with("crates/store/");
    if !product || !is(path, &["rs"]) {
        return Vec::new();
    }
    lines(path, content, |line| {
        SQL.iter()
            .any(|start| line.contains(start) || line.contains(&start.to_uppercase()))
            .then(|| "SQL outside `store`; add a method to `Store`".to_owned())
    })
}

fn spaces(path: &str, content: &str) -> Vec<String> {
    lines(path, content, |line| {
        if is(path, NO_TRAILING_SPACE) && line.ends_with([' ', '\t', '\r']) {
            Some("space at the end of the line; remove it".to_owned())
        } else if is(path, &["rs"]) && line.contains('\t') {
            Some("tab; use spaces, or `\\t` in a string".to_owned())
        } else {
            None
        }
    })
}

fn end_of_file(path: &str, content: &str) -> Vec<String> {
    if content.is_empty() || content.ends_with('\n') {
        Vec::new()
    } else {
        vec![format!("{path}: the last line does not end; add a newline")]
    }
}

fn machine_paths(path: &str, content: &str) -> Vec<String> {
    lines(path, content, |line| {
        MACHINES.iter().find(|folder| absolute(line, folder)).map(|folder| {
            format!("a path under {folder} exists on one machine only; make it relative, or `$HOME`")
        })
    })
}

/// Whether a path that begins with `folder` stands in the line. In `src{folder}mod.rs` it does not begin with it.
fn absolute(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = &line[..at];
        before.ends_with("file://")
            || !before.ends_with(|c: char| {
                c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '*' | '~' | '}' | '>' | ')')
            })
    })
}

/// Whether the word stands in the line and is no part of a longer one.
fn stands_alone(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].ends_with(part) && (word.ends_with('!') || !after.starts_with(part))
    })
}

fn is(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

/// What `check` says to each line, with the place before it.
fn lines(path: &str, content: &str, check: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let numbered = content.split('\n').enumerate();
    numbered.filter_map(|(n, line)| check(line).map(|says| format!("{path}:{}: {says}", n + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found() {
        for word in UNFINISHED {
            assert_eq!(
                unfinished("a.rs", &format!("fn a() {{\n    {word}()\n}}\n")),
                [format!("a.rs:2: `{word}` is unfinished work; finish it, or open an issue and take it out")]
            );
            assert!(unfinished("a.rs", &format!("my_{word}()\n")).is_empty());
            assert!(unfinished("a.md", word).is_empty());
        }
        for word in NOTES {
            assert_eq!(unfinished("a.rs", &format!("// {word}: later\n")).len(), 1);
            assert!(unfinished("a.rs", &format!("\"{word}{word}\"\n")).is_empty());
        }
    }

    #[test]
    fn sql_stays_in_store() {
        for start in SQL {
            let line = format!("    let rows = store.query({start}a\").await?;\n");
            assert_eq!(sql_outside_store("crates/server/src/a.rs", &line).len(), 1, "{line}");
            assert_eq!(sql_outside_store("crates/engine/src/a.rs", &line.to_uppercase()).len(), 1, "{line}");
            assert!(sql_outside_store("crates/store/src/a.rs", &line).is_empty());
            assert!(sql_outside_store("testkit/src/a.rs", &line).is_empty());
        }
        let sentence = "\"Update the connection first.\"";
        assert!(sql_outside_store("crates/server/src/a.rs", sentence).is_empty());
    }

    #[test]
    fn spaces_are_where_they_belong() {
        for (path, content) in [("a.md", "a \n"), ("a.sql", "a\t\n"), ("a.rs", "a\r\n"), ("a.rs", "\ta\n")] {
            assert_eq!(spaces(path, content).len(), 1, "{path} {content:?}");
        }
        assert!(spaces("justfile", "\ta\n").is_empty());
    }

    #[test]
    fn files_end_in_a_newline() {
        assert_eq!(end_of_file("a", "a").len(), 1);
        assert!(end_of_file("a", "a\n").is_empty());
        assert!(end_of_file("a", "").is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for folder in MACHINES {
            for line in [
                format!("cd {folder}me"),
                format!("\"{folder}me\""),
                format!("{folder}me"),
                format!("file://{folder}me"),
            ] {
                assert_eq!(machine_paths("a.md", &line).len(), 1, "{line}");
            }
            for line in [
                format!("crates/engine/src{folder}mod.rs"),
                format!("https://example.com{folder}"),
                format!("{{base}}{folder}"),
            ] {
                assert!(machine_paths("a.md", &line).is_empty(), "{line}");
            }
        }
    }

    #[test]
    fn this_crate_does_not_find_itself() {
        let root = crate::root();
        for path in super::super::files::all(&root).unwrap().iter().filter(|path| path.starts_with("xtask/"))
        {
            let content = std::fs::read_to_string(root.join(path)).unwrap();
            assert_eq!(all(path, &content), Vec::<String>::new());
        }
    }
}
