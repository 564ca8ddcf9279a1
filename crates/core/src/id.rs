//! Ids: opaque, typed by prefix, ordered by time of creation (UUID version 7, RFC 9562 §5.7).

use crate::time::Timestamp;

macro_rules! prefixes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// What an id names; stands in front of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Prefix { $($(#[doc = $doc])+ $name,)+ }
        impl Prefix {
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)+ } }
        }
    };
}

prefixes! {
    /// organization
    Organization = "org";
    /// member
    Member = "mem";
    /// API key (its id, not the key)
    Key = "key";
    /// application
    Application = "app";
    /// connection (internal; people use the link name)
    Connection = "con";
    /// authorization
    Authorization = "aut";
    /// flow
    Flow = "flw";
    /// record of a call
    Call = "cal";
    /// request
    Request = "req";
    /// event
    Event = "evt";
    /// browser session
    Session = "ses";
    /// record of a form
    Record = "rec";
    /// run of a workflow
    Run = "run";
    /// file of records that is read in
    Import = "imp";
    /// one try of an action of a run
    Step = "stp";
    /// file in a record of a form
    File = "fil";
    /// payment that a run asks for
    Payment = "pay";
}

/// A new id from the time and ten random bytes, which the caller draws.
pub fn new(prefix: Prefix, now: Timestamp, random: [u8; 10]) -> String {
    let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
    text(prefix, uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// By hand: each request has an id, and `format!` costs several times as much.
fn text(prefix: Prefix, id: uuid::Uuid) -> String {
    let mut digits = [0; 32];
    let digits = id.simple().encode_lower(&mut digits);
    let mut text = String::with_capacity(36);
    text.push_str(prefix.as_str());
    text.push('_');
    text.push_str(digits);
    text
}

/// How many ids [`series`] makes at most.
pub const SERIES: usize = 4096;

/// Ids that follow each other, [`SERIES`] at most: between two of them comes none that is made elsewhere.
pub fn series(prefix: Prefix, now: Timestamp, random: [u8; 10]) -> impl Iterator<Item = String> {
    let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
    // The last twelve bits count; the other 62 that are drawn tell one series from another.
    let first = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().as_u128() & !0xfff;
    (first..first + SERIES as u128).map(move |id| text(prefix, uuid::Uuid::from_u128(id)))
}

/// Whether the text looks like an id of this kind; saves a look-up, proves nothing.
pub fn is(prefix: Prefix, text: &str) -> bool {
    text.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('_')).is_some_and(|rest| {
        rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_know_their_kind() {
        let a = new(Prefix::Flow, Timestamp::from_micros(1_000_000), [255; 10]);
        let b = new(Prefix::Flow, Timestamp::from_micros(1_002_000), [0; 10]);
        assert!(a < b);
        assert!(is(Prefix::Flow, &a) && !is(Prefix::Member, &a) && !is(Prefix::Flow, "flw_1"));
    }

    #[test]
    fn a_series_is_of_one_piece() {
        let now = Timestamp::from_micros(1_000_000);
        let ids: Vec<String> = series(Prefix::Call, now, [255; 10]).collect();
        assert_eq!(ids.len(), SERIES);
        assert!(ids.is_sorted_by(|a, b| a < b) && ids.iter().all(|id| is(Prefix::Call, id)));
        // Another one that was drawn at the same time stands as a whole before it.
        let other = series(Prefix::Call, now, [254; 10]).last().unwrap();
        assert!(other < ids[0]);
    }
}
