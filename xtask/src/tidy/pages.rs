//! Documents that must agree with something else.

use std::fs;
use std::path::Path;

use crate::errors;

/// `docs/errors.md` is what the table of codes says.
pub fn error_codes(root: &Path) -> Result<Option<String>, String> {
    let expected = errors::expected(root)?;
    let found = fs::read_to_string(root.join(errors::PAGE)).unwrap_or_default();
    Ok((found != expected).then(|| {
        format!("{}: does not agree with {}; run `cargo xtask errors`", errors::PAGE, errors::SOURCE)
    }))
}

/// Every decision is in the list of decisions, and the list names no other.
pub fn decisions(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("docs/decisions");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let names = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(unlisted(names, &fs::read_to_string(folder.join("README.md")).unwrap_or_default()))
}

fn unlisted(mut names: Vec<String>, list: &str) -> Vec<String> {
    names.retain(|name| markdown(name) && name != "README.md");
    names.sort();
    let missing = names.iter().filter(|name| !list.contains(&format!("({name})"))).map(|name| {
        format!(
            "docs/decisions/{name}: not in docs/decisions/README.md; add a line with a link `[…]({name})`"
        )
    });
    let dead = links(list).filter(|link| !names.iter().any(|name| name == link)).map(|link| {
        format!(
            "docs/decisions/README.md: links to {link}, which is not there; write it or take the line out"
        )
    });
    missing.chain(dead).collect()
}

/// The targets of links to files of the same folder.
fn links(list: &str) -> impl Iterator<Item = &str> {
    list.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .filter(|link| !link.contains('/') && markdown(link))
}

fn markdown(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "md")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(codes: &str, page: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in [(errors::SOURCE, codes), (errors::PAGE, page)] {
            fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
            fs::write(root.path().join(path), content).unwrap();
        }
        root
    }

    #[test]
    fn the_page_of_codes_follows_the_table() {
        let codes = "codes! {\n    /// Gone.\n    Gone = \"gone\", 410, \"Gone\";\n}\n";
        let root = tree(codes, "");
        assert!(error_codes(root.path()).unwrap().is_some());
        errors::write(root.path()).unwrap();
        assert_eq!(error_codes(root.path()).unwrap(), None);
        let more = codes.replace("}\n", "    /// Full.\n    Full = \"full\", 507, \"Full\";\n}\n");
        fs::write(root.path().join(errors::SOURCE), more).unwrap();
        assert!(error_codes(root.path()).unwrap().is_some());
    }

    #[test]
    fn decisions_and_their_list_agree() {
        let names = || vec!["README.md".to_owned(), "0001-one.md".to_owned(), "0002-two.md".to_owned()];
        let list = "- [One](0001-one.md)\n- [Two](0002-two.md)\n- [elsewhere](../errors.md)\n";
        assert!(unlisted(names(), list).is_empty());
        assert_eq!(unlisted(names(), "- [One](0001-one.md)\n").len(), 1);
        assert_eq!(unlisted(names(), &list.replace("0002-two", "0003-three")).len(), 2);
    }
}
