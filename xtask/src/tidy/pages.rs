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

/// Where the browser tests have the list of the console's pages.
const CONSOLE_PAGES: &str = "e2e/pages.mjs";
const SERVER: &str = "crates/server/src";

/// Every page that the server has is in the list of pages that the browser tests look at, and the list has no other.
pub fn console_pages(root: &Path) -> Result<Vec<String>, String> {
    let Ok(list) = fs::read_to_string(root.join(CONSOLE_PAGES)) else { return Ok(Vec::new()) };
    let mut routes = Vec::new();
    // With the folders in them: rooms of the console that have grown.
    let mut folders = vec![root.join(SERVER)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                routes.extend(pages_of(&source));
            }
        }
    }
    Ok(unseen(routes, &list))
}

fn unseen(mut routes: Vec<String>, list: &str) -> Vec<String> {
    routes.sort();
    routes.dedup();
    // Files to keep are no pages.
    let is_file = |route: &String| {
        route.contains("/files/{") || route.rsplit('/').next().is_some_and(|last| last.contains('.'))
    };
    routes.retain(|route| !is_file(route));
    let missing = routes.iter().filter(|route| !list.contains(&format!("'{route}'"))).map(|route| {
        format!("{CONSOLE_PAGES}: does not name {route}; add the page, so that it is tried in a browser")
    });
    let named = list.split("route: '").skip(1).filter_map(|rest| rest.split('\'').next());
    let mut dead: Vec<&str> = named
        .filter(|route| route.starts_with("/console") && !routes.iter().any(|known| known == route))
        .collect();
    dead.dedup();
    let dead = dead
        .into_iter()
        .map(|route| format!("{CONSOLE_PAGES}: names {route}, which the server does not have; take it out"));
    missing.chain(dead).collect()
}

/// The pages for people that answer GET, in one source file; a route may be a constant of that file.
fn pages_of(source: &str) -> Vec<String> {
    let calls = source.split(".route(").skip(1).filter_map(|rest| rest.trim_start().split_once(','));
    calls
        .filter(|(_, handlers)| {
            handlers.trim_start().trim_start_matches("axum::routing::").starts_with("get(")
        })
        .filter_map(|(route, _)| literal(route).or_else(|| constant(source, route)))
        .filter(|route| for_people(route))
        .map(str::to_owned)
        .collect()
}

/// The console, and the connect pages for people who never open it.
fn for_people(route: &str) -> bool {
    route == "/console" || route.starts_with("/console/") || route.starts_with("/connect/")
}

fn constant<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!("const {name}: &str = "))?;
    literal(rest.split(';').next()?)
}

fn literal(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
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
    fn every_page_is_looked_at_in_a_browser() {
        let source = "const HERE: &str = \"/console/b\";\nRouter::new().route(\"/console\", get(show))\n.route(\n \"/console/a/{id}\",\n get(a).post(b))\n\
                       .route(\"/console/a/{id}/end\", post(end)).route(HERE, get(list)).route(\"/healthz\", get(ok))";
        assert_eq!(pages_of(source), ["/console", "/console/a/{id}", "/console/b"]);
        let routes = || pages_of(source);
        let list = "{ route: '/console' },\n{ route: '/console/b' },\n{ route: '/console/a/{id}', with: {} },\n{ route: '/signin' },";
        assert!(unseen(routes(), list).is_empty());
        assert_eq!(unseen(routes(), "{ route: '/console/a/{id}' }").len(), 2);
        assert_eq!(unseen(Vec::new(), list).len(), 3);
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
