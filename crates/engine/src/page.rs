//! Lists, a page at a time: `?limit=&cursor=` → `{"items": […], "next_cursor": null | "…"}`.

use jackfield_core::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const DEFAULT: u32 = 50;
const MOST: u32 = 200;

/// Which page is wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// give it as `cursor` to get the next page; null on the last
    pub next_cursor: Option<String>,
}

/// What was given is no cursor of the list.
pub(crate) fn no_cursor() -> Error {
    Error::new(Code::InvalidRequest, "cursor: give the next_cursor of the page before, or leave it out.")
}

/// A checked limit.
#[derive(Clone, Copy)]
pub(crate) struct Limit(u32);

impl PageQuery {
    pub(crate) fn limit(&self) -> Result<Limit> {
        match self.limit.unwrap_or(DEFAULT) {
            limit @ 1..=MOST => Ok(Limit(limit)),
            _ => Err(Error::new(Code::InvalidRequest, format!("limit: say 1 to {MOST}."))),
        }
    }

    /// The key after which the page begins. A cursor is opaque outside and a key inside; hex, so that nobody is tempted to make one.
    pub(crate) fn after(&self) -> Result<String> {
        let Some(cursor) = &self.cursor else { return Ok(String::new()) };
        unhex(cursor).ok_or_else(no_cursor)
    }
}

impl Limit {
    /// One more row than a page has tells whether there is a next one.
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }

    /// Makes the page of the rows that were found.
    pub fn page<R, T>(self, mut rows: Vec<R>, key: impl Fn(&R) -> String, view: impl Fn(R) -> T) -> Page<T> {
        let size = self.0 as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        let next_cursor = if more { rows.last().map(|row| hex(&key(row))) } else { None };
        Page { items: rows.into_iter().map(view).collect(), next_cursor }
    }
}

impl Limit {
    /// A page of what was found so far; it goes on after `last`, whether more will be found or not.
    pub fn unfinished<T>(self, mut items: Vec<T>, last: &str) -> Page<T> {
        items.truncate(self.0 as usize);
        Page { items, next_cursor: Some(hex(last)) }
    }
}

fn hex(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<String> {
    if text.len() > 512 || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok().filter(|key| !key.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let query = PageQuery { limit: Some(2), cursor: None };
        let page = query.limit().unwrap().page(vec!["a", "b", "c"], |r| (*r).to_owned(), |r| r);
        assert_eq!(page.items, ["a", "b"]);
        let next = PageQuery { limit: None, cursor: page.next_cursor };
        assert_eq!(next.after().unwrap(), "b");
        assert!(PageQuery { limit: Some(0), cursor: None }.limit().is_err());
        assert!(PageQuery { limit: None, cursor: Some("zz".into()) }.after().is_err());
        assert!(PageQuery { limit: None, cursor: Some("é".into()) }.after().is_err());
        assert!(PageQuery { limit: None, cursor: Some("00".into()) }.after().is_err());
    }
}
