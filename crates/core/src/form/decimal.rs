//! Exact decimal numbers, as far as forms need them: read, compared, written. No float comes near them.

/// Most places after the decimal point.
pub(super) const PLACES_MAX: u8 = 10;
/// Most digits before it.
const WHOLE_MAX: usize = 20;
/// 10 to the power of `PLACES_MAX`.
const SCALE: i128 = 10_000_000_000;

/// A number in units of 10⁻¹⁰.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Decimal(i128);

impl Decimal {
    /// Reads `12`, `-12.50`, `+.5`. `None` for anything else, for more than 20 digits before the point or more than 10 places that
    /// are not zero.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, places) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some(both) => both,
            None if digits.is_empty() => return None,
            None => (digits, ""),
        };
        if !whole.bytes().chain(places.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (whole, places) = (whole.trim_start_matches('0'), places.trim_end_matches('0'));
        if whole.len() > WHOLE_MAX || places.len() > usize::from(PLACES_MAX) {
            return None;
        }
        let units: i128 = format!("{whole}{places:0<10}").parse().ok()?;
        Some(Self(if text.starts_with('-') { -units } else { units }))
    }

    /// The number with exactly so many places; `None` when it has more than that.
    pub(super) fn text(self, places: u8) -> Option<String> {
        let digits = format!("{:0>11}", self.0.unsigned_abs());
        let (whole, fraction) = digits.split_at_checked(digits.len().checked_sub(10)?)?;
        let (fraction, rest) = fraction.split_at_checked(usize::from(places.min(PLACES_MAX)))?;
        if rest.bytes().any(|b| b != b'0') {
            return None;
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{whole}{point}{fraction}"))
    }

    /// The number if it is whole and fits.
    pub(super) fn whole(self) -> Option<i64> {
        if self.0 % SCALE == 0 { i64::try_from(self.0 / SCALE).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_number() {
        for (text, places, written) in [
            ("12.5", 2, Some("12.50")),
            ("12.500", 2, Some("12.50")),
            ("012", 0, Some("12")),
            ("-0.00", 2, Some("0.00")),
            ("+.5", 1, Some("0.5")),
            ("-.05", 2, Some("-0.05")),
            ("12.505", 2, None),
            ("0.1", 0, None),
            ("99999999999999999999.9999999999", 10, Some("99999999999999999999.9999999999")),
        ] {
            let number = Decimal::parse(text).unwrap();
            assert_eq!(number.text(places).as_deref(), written, "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "5.",
            "1,5",
            "1e3",
            "--1",
            "0x1",
            "1 000",
            "٣",
            "100000000000000000000",
            "0.00000000001",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert!(Decimal::parse("-2.5") < Decimal::parse("-2.4"));
        assert!(Decimal::parse("9") < Decimal::parse("10.0"));
    }

    proptest! {
        #[test]
        fn it_is_exact(hundredths in any::<i32>()) {
            let written = Decimal::parse(&format!("{hundredths}")).unwrap().whole().unwrap();
            prop_assert_eq!(written, i64::from(hundredths));
            let (whole, rest) = (i64::from(hundredths).abs() / 100, i64::from(hundredths).abs() % 100);
            let text = format!("{}{whole}.{rest:02}", if hundredths < 0 { "-" } else { "" });
            prop_assert_eq!(Decimal::parse(&text).unwrap().text(2), Some(text));
        }
    }
}
