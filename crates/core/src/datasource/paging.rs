//! How the pages of a list follow each other.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connector::{Operation, PageAsk, Pagination};

/// How far a pull is: which page is asked for next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageState {
    /// pages before it
    pub before: u64,
    /// items on the pages before it
    pub skipped: u64,
    /// the mark that the page before gave
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// the address that the page before gave
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl PageState {
    /// As a list operation is asked for it.
    pub fn ask(&self) -> PageAsk {
        PageAsk { before: self.before, skipped: self.skipped, cursor: self.cursor.clone() }
    }
}

/// The page after `here`, by its answer. `link`: its `Link` header. `None`: it was the last.
pub fn next_page(
    operation: &Operation,
    here: &PageState,
    body: &Value,
    link: Option<&str>,
    items: &[Value],
) -> Option<PageState> {
    let next = PageState {
        before: here.before.saturating_add(1),
        skipped: here.skipped.saturating_add(u64::try_from(items.len()).unwrap_or(u64::MAX)),
        cursor: None,
        url: None,
    };
    let says_more = |pointer: &str| body.pointer(pointer).is_some_and(holds);
    match operation.pagination.as_ref()? {
        Pagination::Page { more, page_size, .. } | Pagination::Offset { more, page_size, .. } => {
            let full = usize::try_from(*page_size).is_ok_and(|size| items.len() >= size);
            let goes_on = more.as_deref().map_or(full, says_more);
            (goes_on && !items.is_empty()).then_some(next)
        }
        Pagination::Cursor { next: mark, last, more, .. } => {
            if more.as_deref().is_some_and(|pointer| !says_more(pointer)) {
                return None;
            }
            let mark = match (mark, last) {
                (Some(pointer), _) => body.pointer(pointer),
                (None, Some(pointer)) => items.last().and_then(|item| item.pointer(pointer)),
                (None, None) => None,
            };
            let cursor = text(mark?).filter(|mark| here.cursor.as_ref() != Some(mark))?;
            Some(PageState { cursor: Some(cursor), ..next })
        }
        Pagination::NextUrl { next: pointer } => {
            let url = text(body.pointer(pointer)?).filter(|url| here.url.as_ref() != Some(url))?;
            Some(PageState { url: Some(url), ..next })
        }
        Pagination::LinkHeader { .. } => {
            let url = next_link(link?).filter(|url| here.url.as_ref() != Some(url))?;
            Some(PageState { url: Some(url), ..next })
        }
    }
}

/// A text or number that is not empty.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether an answer's member says yes.
fn holds(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::String(text) => !matches!(text.as_str(), "" | "false" | "0"),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

/// The target of `rel="next"` (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let parameters = after.split_once('<').map_or(after, |(parameters, _)| parameters);
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let relations = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && relations.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.to_owned());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(pagination: &Value, here: &PageState, body: &Value, link: Option<&str>) -> Option<PageState> {
        let operation: Operation =
            serde_json::from_value(json!({"path": "/x", "items": "/items", "pagination": pagination}))
                .unwrap();
        let items = operation.items(body).to_vec();
        next_page(&operation, here, body, link, &items)
    }

    #[test]
    fn pages_follow_each_other() {
        let start = PageState::default();
        let second = PageState { before: 1, skipped: 2, ..PageState::default() };
        let two = json!({"items": [{"id": "a"}, {"id": "b"}], "more": true, "next": "m2", "url": "/x?p=2"});
        let cursor = PageState { cursor: Some("m2".to_owned()), ..second.clone() };
        let url = PageState { url: Some("/x?p=2".to_owned()), ..second.clone() };
        let last = PageState { cursor: Some("b".to_owned()), ..second.clone() };
        let with = |name: &str, value: Value| {
            let mut body = two.clone();
            body[name] = value;
            body
        };
        for (pagination, body, wanted) in [
            (json!({"type": "page", "page_size": 2}), two.clone(), Some(&second)),
            (json!({"type": "page", "page_size": 3}), two.clone(), None),
            (json!({"type": "page", "page_size": 3, "more": "/more"}), two.clone(), Some(&second)),
            (json!({"type": "page", "page_size": 2, "more": "/more"}), with("more", json!(false)), None),
            (json!({"type": "offset", "page_size": 2}), two.clone(), Some(&second)),
            (json!({"type": "offset", "page_size": 2, "more": "/more"}), with("items", json!([])), None),
            (json!({"type": "cursor", "next": "/next"}), two.clone(), Some(&cursor)),
            (json!({"type": "cursor", "next": "/next"}), with("next", json!("")), None),
            (json!({"type": "cursor", "next": "/next"}), with("next", json!(null)), None),
            (json!({"type": "cursor", "last": "/id", "more": "/more"}), two.clone(), Some(&last)),
            (json!({"type": "cursor", "last": "/id", "more": "/more"}), with("more", json!(false)), None),
            (json!({"type": "next_url", "next": "/url"}), two.clone(), Some(&url)),
            (json!({"type": "next_url", "next": "/url"}), with("url", json!(null)), None),
        ] {
            assert_eq!(after(&pagination, &start, &body, None).as_ref(), wanted, "{pagination}");
        }
        // A service that gives the same mark again would never come to an end.
        assert_eq!(after(&json!({"type": "cursor", "next": "/next"}), &cursor, &two, None), None);
        assert_eq!(after(&json!({"type": "next_url", "next": "/url"}), &url, &two, None), None);
        let links = r#"<https://a.example/x?p=1>; rel="prev", </x?p=2>; foo=1; REL="next last""#;
        assert_eq!(after(&json!({"type": "link_header"}), &start, &two, Some(links)).as_ref(), Some(&url));
        for none in [None, Some(r#"</x?p=2>; rel="prev""#), Some("broken <"), Some("")] {
            assert_eq!(after(&json!({"type": "link_header"}), &start, &two, none), None);
        }
        let unpaged: Operation = serde_json::from_value(json!({"path": "/x", "items": "/items"})).unwrap();
        assert_eq!(next_page(&unpaged, &start, &two, None, &[]), None);
    }
}
