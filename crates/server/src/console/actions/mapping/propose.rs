//! Which fields of a form are proposed for which fields of a service: those whose names are alike, or that alone are of their kind.

use std::collections::BTreeMap;

use jackfield_core::connector;
use jackfield_core::form::{FieldType, Form as Document, FormField};
use jackfield_core::workflow::Mapped;

use super::target::{Kind, Target};

/// The words of a name: `displayName_2` as display, name, 2.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
            if begins {
                all.push(String::new());
            }
            if let Some(word) = all.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        before = c;
    }
    all
}

/// Words that tell no two fields apart.
const NOISE: [&str; 8] = ["display", "full", "primary", "the", "of", "a", "your", "my"];

/// How alike two names are, 0 to 100.
pub(super) fn alike(left: &str, right: &str, noise: &[&str]) -> usize {
    let (left, right) = (words(left), words(right));
    if left == right || left.concat() == right.concat() {
        return 100;
    }
    let is_noise = |word: &String| {
        let stem = word.trim_end_matches('s');
        NOISE.contains(&word.as_str())
            || noise.iter().any(|noise| noise.trim_end_matches('s').eq_ignore_ascii_case(stem))
    };
    let bare = |words: &[String]| words.iter().filter(|word| !is_noise(word)).cloned().collect::<Vec<_>>();
    let (left, right) = (bare(&left), bare(&right));
    if left.is_empty() || right.is_empty() {
        return 0;
    }
    let shared = left.iter().filter(|word| right.contains(word)).count();
    let most = left.len().max(right.len());
    if shared == most { 90 } else { shared * 80 / most }
}

/// How well a field of the form suits a field of the service, 0 to 100.
fn fit(target: &Target, field: &FormField, noise: &[&str]) -> usize {
    if !target.suits(field) {
        return 0;
    }
    let names = [
        (&target.name, field.name.as_str()),
        (&target.title, field.title()),
        (&target.name, field.title()),
        (&target.title, field.name.as_str()),
    ];
    let by_name = names.iter().map(|(left, right)| alike(left, right, noise)).max().unwrap_or_default();
    let same_kind = match &target.kind {
        Kind::Service(wanted) => matches!(
            (wanted.kind, field.kind),
            (connector::FieldType::Email, FieldType::Email)
                | (connector::FieldType::Phone, FieldType::Phone)
                | (connector::FieldType::Url, FieldType::Url)
        ),
        Kind::Record(_) | Kind::Gone | Kind::Unknown => false,
    };
    by_name.max(if same_kind { 70 } else { 0 })
}

/// Less than this is no proposal.
pub(super) const ENOUGH: usize = 40;

/// For which fields of the service which fields of the form are proposed: the best first, each once.
pub(super) fn propose(
    targets: &[Target],
    form: &Document,
    kept: &BTreeMap<String, Mapped>,
    noise: &[&str],
) -> BTreeMap<String, String> {
    let free = targets.iter().filter(|target| !kept.contains_key(&target.name));
    let mut pairs: Vec<(usize, bool, &Target, &FormField)> = free
        .flat_map(|target| {
            form.fields.iter().map(move |field| (fit(target, field, noise), target.required, target, field))
        })
        .filter(|(fit, _, _, _)| *fit >= ENOUGH)
        .collect();
    // Stable: what stands first stays first.
    pairs.sort_by_key(|(fit, required, _, _)| std::cmp::Reverse((*fit, *required)));
    let mut used: Vec<&str> = kept
        .values()
        .filter_map(|mapped| match mapped {
            Mapped::Field(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mut proposed = BTreeMap::new();
    for (_, _, target, field) in pairs {
        if proposed.contains_key(&target.name) || used.contains(&field.name.as_str()) {
            continue;
        }
        used.push(&field.name);
        proposed.insert(target.name.clone(), field.name.clone());
    }
    proposed
}
