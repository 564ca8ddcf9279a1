//! Names: what people may call things, and the permanent link names derived from them.

/// Longest display name, in characters.
pub const DISPLAY_NAME_MAX: usize = 200;
/// Longest link name, in bytes.
pub const LINK_NAME_MAX: usize = 64;
/// Longest name of a custom connector, in characters (product C4).
pub const CONNECTOR_NAME_MAX: usize = 50;
/// What a connector's name may hold besides letters, digits and single spaces (product C4).
const CONNECTOR_SPECIALS: &str = "*_-@/!:|&~\\+";

/// Display names: 1 to 200 characters, no control characters, not only blanks. Kept byte for byte; not unique.
pub fn display_name(text: &str) -> Result<(), &'static str> {
    if text.chars().all(char::is_whitespace) {
        return Err("must not be empty");
    }
    if text.chars().count() > DISPLAY_NAME_MAX {
        return Err("must have at most 200 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok(())
}

/// Link names: `[a-z0-9_]{1,64}`, permanent, unique in the organization.
pub fn link_name(text: &str) -> Result<(), &'static str> {
    let fits = (1..=LINK_NAME_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits { Ok(()) } else { Err("must have 1 to 64 of the characters a-z, 0-9 and _") }
}

/// Names of connectors: at most 50 characters, start with a letter, digit or `_`; letters, digits, single spaces inside, and
/// `* _ - @ / ! : | & ~ \ +` (product C4).
pub fn connector_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.chars().count() > CONNECTOR_NAME_MAX {
        return Err("must have at most 50 characters");
    }
    if !text.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return Err("must start with a letter, a digit or _");
    }
    if text.ends_with(' ') || text.contains("  ") {
        return Err("may have single spaces inside only");
    }
    if text.chars().all(|c| c.is_alphanumeric() || c == ' ' || CONNECTOR_SPECIALS.contains(c)) {
        Ok(())
    } else {
        Err("may hold letters, digits, single spaces and * _ - @ / ! : | & ~ \\ +")
    }
}

/// The link name that a display name gives: lower case, every run of other characters one `_`. Never empty.
pub fn link_name_from(name: &str) -> String {
    link_name_or(name, "connection")
}

/// The same, with the word that stands in where nothing is left of the name.
pub fn link_name_or(name: &str, fallback: &str) -> String {
    let mut link = String::with_capacity(name.len().min(LINK_NAME_MAX));
    for c in name.chars() {
        if link.len() >= LINK_NAME_MAX {
            break;
        }
        if c.is_ascii_alphanumeric() {
            link.push(c.to_ascii_lowercase());
        } else if !link.is_empty() && !link.ends_with('_') {
            link.push('_');
        }
    }
    let trimmed = link.trim_end_matches('_');
    if trimmed.is_empty() { fallback.to_owned() } else { trimmed.to_owned() }
}

/// Names of components: what kind of part of an application it is, a colon, its name: `workflow:orders`. The kind is an open word.
pub fn component(text: &str) -> Result<(), &'static str> {
    let word = |part: &str, most: usize| part.len() <= most && link_name(part).is_ok();
    if text.split_once(':').is_some_and(|(kind, name)| word(kind, 32) && word(name, LINK_NAME_MAX)) {
        Ok(())
    } else {
        Err(
            "must be a kind and a name such as workflow:orders, of the characters a-z, 0-9 and _ (kind up to 32, name up to 64)",
        )
    }
}

/// The n-th try for a taken link name: `acme`, `acme_2`, `acme_3`… never longer than 64.
pub fn numbered(link: &str, n: u32) -> String {
    if n <= 1 {
        return link.to_owned();
    }
    let suffix = format!("_{n}");
    let keep = link.len().min(LINK_NAME_MAX - suffix.len());
    format!("{}{suffix}", link.get(..keep).unwrap_or(link))
}

/// The candidate that differs least, if it differs little.
#[must_use]
pub fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| (distance(name, &candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 2 && *distance * 2 < candidate.len())
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be changed, added or taken out.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(above + 1);
            diagonal = above;
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            left = here;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_differs_little() {
        let all = || ["token_url", "authorize_url", "pkce"].map(str::to_owned).into_iter();
        assert_eq!(nearest("token_ulr", all()).as_deref(), Some("token_url"));
        assert_eq!((nearest("colour", all()), nearest("pk", all())), (None, None));
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn display_names() {
        assert!(display_name("Acme QuickBooks — Büro 7").is_ok());
        assert!(display_name(&"ü".repeat(200)).is_ok());
        assert!(display_name(&"ü".repeat(201)).is_err());
        assert!(display_name(" \u{a0} ").is_err());
        assert!(display_name("a\tb").is_err());
    }

    #[test]
    fn connector_names() {
        for good in ["Acme CRM", "_x", "7 * _ - @ / ! : | & ~ \\ +", "Ünïcode"] {
            assert!(connector_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", " x", "x ", "a  b", "a.b", "a\u{a0}b", &"x".repeat(51)] {
            assert!(connector_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn components() {
        for good in ["workflow:orders", "x:1", &format!("{}:{}", "k".repeat(32), "n".repeat(64))] {
            assert!(component(good).is_ok(), "{good}");
        }
        let long = format!("{}:x", "k".repeat(33));
        for bad in ["", ":", "workflow", "workflow:", ":orders", "a:b:c", "A:b", "a:b-c", "a: b", &long] {
            assert!(component(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn link_names() {
        assert_eq!(link_name_from("Acme  QuickBooks!"), "acme_quickbooks");
        assert_eq!(link_name_from("日本"), "connection");
        assert_eq!(link_name_or("日本", "application"), "application");
        assert_eq!(link_name_from(&"a".repeat(300)).len(), 64);
        assert_eq!(numbered(&"a".repeat(64), 12), format!("{}_12", "a".repeat(61)));
        assert!(link_name("A").is_err() && link_name("").is_err() && link_name("a_1").is_ok());
    }
}
