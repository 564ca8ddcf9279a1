//! Finding a connector by what somebody typed, also where he mistyped.

/// What a search looks through.
#[derive(Clone, Copy, Debug)]
pub struct SearchText<'a> {
    /// Name on the card.
    pub name: &'a str,
    /// The link name.
    pub link_name: &'a str,
    /// Heading under which the card is found.
    pub category: Option<&'a str>,
    /// What the service is for.
    pub description: Option<&'a str>,
}

/// Words that somebody typed.
#[derive(Debug)]
pub struct Search {
    words: Vec<String>,
}

impl Search {
    /// The words of a text.
    pub fn new(text: &str) -> Self {
        Self { words: text.split_whitespace().map(str::to_lowercase).collect() }
    }

    /// What fits: where every word stands in name, category or description. Where nothing does, what has a name that is
    /// nearly what was typed. No words: everything. The order is kept.
    pub fn among<'t, T: 't>(
        &self,
        all: impl IntoIterator<Item = &'t T>,
        text: impl for<'a> Fn(&'a T) -> SearchText<'a>,
    ) -> Vec<&'t T> {
        let all: Vec<&T> = all.into_iter().collect();
        let exact: Vec<&T> = all.iter().copied().filter(|one| self.stands_in(text(one))).collect();
        if !exact.is_empty() || self.words.is_empty() {
            return exact;
        }
        all.into_iter().filter(|one| self.is_nearly(text(one))).collect()
    }

    fn stands_in(&self, text: SearchText<'_>) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let SearchText { name, link_name, category, description } = text;
        let all = [name, link_name, category.unwrap_or_default(), description.unwrap_or_default()];
        let all = all.join(" ").to_lowercase();
        self.words.iter().all(|word| all.contains(word))
    }

    /// Whether the name, or each word in it, is nearly what was typed. `quick books` and `git hub` are names in one word.
    fn is_nearly(&self, text: SearchText<'_>) -> bool {
        let name = text.name.to_lowercase();
        let parts: Vec<&str> =
            name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
        let whole = near(&self.words.concat(), &parts.concat());
        whole || self.words.iter().all(|word| parts.iter().any(|part| near(word, part)))
    }
}

/// Whether a typed word is a name but for a slip: one in short words, two in longer ones, none in the shortest. A name that is
/// typed in part is compared with as much of it.
fn near(typed: &str, name: &str) -> bool {
    let typed: Vec<char> = typed.chars().collect();
    let allowed = match typed.len() {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    };
    // What comes after as many letters as were typed cannot matter.
    let name: Vec<char> = name.chars().take(typed.len() + allowed).collect();
    if allowed == 0 {
        return name == typed;
    }
    // A few letters must not become any name that starts like them.
    if name.len() + allowed < typed.len() {
        return false;
    }
    slips(&typed, &name) <= allowed
}

/// How many letters are wrong, missing, too many or swapped with their neighbour (optimal string alignment), between what was
/// typed and the beginning of the name that fits best.
fn slips(typed: &[char], name: &[char]) -> usize {
    let mut older: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=name.len()).collect();
    let mut before: Option<char> = None;
    for (row, &letter) in typed.iter().enumerate() {
        let mut now = vec![row + 1];
        let mut left = row + 1;
        let mut previous: Option<char> = None;
        for (column, &other) in name.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, column) + usize::from(letter != other))
                .min(at(&last, column + 1) + 1)
                .min(left + 1);
            if previous == Some(letter) && before == Some(other) && column > 0 {
                best = best.min(at(&older, column - 1) + 1);
            }
            now.push(best);
            left = best;
            previous = Some(other);
        }
        older = std::mem::replace(&mut last, now);
        before = Some(letter);
    }
    last.into_iter().min().unwrap_or(typed.len())
}

#[cfg(test)]
mod tests {
    use super::super::{BuiltIn, built_in};
    use super::*;

    fn found(typed: &str) -> Vec<&'static str> {
        let found = Search::new(typed).among(built_in().cards(), BuiltIn::search_text);
        found.into_iter().map(|card| card.link_name).collect()
    }

    #[test]
    fn what_stands_there_is_found_as_it_is_typed() {
        assert_eq!(found("").len(), built_in().len());
        assert!(found("QUICKB").contains(&"quickbooks"));
        assert!(found("crm zoho").contains(&"zoho_crm"));
        assert!(found("accounting").contains(&"xero"));
        assert_eq!(found("no such service anywhere"), Vec::<&str>::new());
    }

    #[test]
    fn slips_of_the_finger_are_forgiven_where_nothing_fits() {
        for (typed, wanted) in [
            ("salesforse", "salesforce"),
            ("slakc", "slack"),
            ("quick boks", "quickbooks"),
            ("git hub", "github"),
            ("pipedirve", "pipedrive"),
            ("mailchmip", "mailchimp"),
            ("airtabel", "airtable"),
            ("zoho cmr", "zoho_books"),
        ] {
            let found = found(typed);
            if wanted == "zoho_books" {
                // Three letters are too few to guess at.
                assert!(!found.contains(&wanted), "{typed}");
            } else {
                assert!(found.contains(&wanted), "{typed}: {found:?}");
                assert!(found.len() < 12, "{typed} finds nearly everything: {found:?}");
            }
        }
        // What fits is not diluted by what nearly fits.
        assert!(!found("box").contains(&"gmail"));
    }

    #[test]
    fn slips_are_counted() {
        let count = |typed: &str, name: &str| {
            slips(&typed.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
        };
        assert_eq!(count("slack", "slack"), 0);
        assert_eq!(count("slakc", "slack"), 1);
        assert_eq!(count("slck", "slack"), 1);
        assert_eq!(count("slaack", "slack"), 1);
        assert_eq!(count("sales", "salesforce"), 0);
        assert_eq!(count("xero", ""), 4);
    }
}
