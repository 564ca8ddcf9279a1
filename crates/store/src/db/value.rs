//! What goes into a statement.

use jackfield_core::Timestamp;

/// A value for a placeholder. It has no `Debug`: it may be a secret.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    OptText(Option<&'a str>),
    Int(i64),
    OptInt(Option<i64>),
    Bytes(&'a [u8]),
    OptBytes(Option<&'a [u8]>),
}

impl Value<'_> {
    /// PostgreSQL stores no U+0000 in text; both databases refuse it alike.
    pub(super) fn is_storable(&self) -> bool {
        match self {
            Self::Text(text) | Self::OptText(Some(text)) => !text.as_bytes().contains(&0),
            _ => true,
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident, |$value:ident| $with:expr;)+) => {
        $(impl<'a> From<$source> for Value<'a> {
            fn from($value: $source) -> Self { Self::$variant($with) }
        })+
    };
}

from! {
    &'a str => Text, |v| v;
    &'a String => Text, |v| v;
    Option<&'a str> => OptText, |v| v;
    Option<&'a String> => OptText, |v| v.map(String::as_str);
    &'a Option<String> => OptText, |v| v.as_deref();
    &'a [u8] => Bytes, |v| v;
    &'a Vec<u8> => Bytes, |v| v;
    Option<&'a [u8]> => OptBytes, |v| v;
    Option<&'a Vec<u8>> => OptBytes, |v| v.map(Vec::as_slice);
    &'a Option<Vec<u8>> => OptBytes, |v| v.as_deref();
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(v: &'a [u8; N]) -> Self {
        Self::Bytes(v)
    }
}

macro_rules! from_copied {
    ($($source:ty => $variant:ident, |$value:ident| $with:expr;)+) => {
        $(impl From<$source> for Value<'_> {
            fn from($value: $source) -> Self { Self::$variant($with) }
        })+
    };
}

from_copied! {
    i64 => Int, |v| v;
    i32 => Int, |v| v.into();
    u32 => Int, |v| v.into();
    bool => Int, |v| v.into();
    Timestamp => Int, |v| v.micros();
    Option<i64> => OptInt, |v| v;
    Option<bool> => OptInt, |v| v.map(i64::from);
    Option<Timestamp> => OptInt, |v| v.map(Timestamp::micros);
}
