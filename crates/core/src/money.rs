//! Amounts of money: exact, in the smallest unit of their currency. No float comes near them.

/// Digits that an amount may have.
const DIGITS_MAX: usize = 15;

/// Places after the decimal point of a currency (ISO 4217, minor units). What is not listed has two.
pub fn exponent(currency: &str) -> u8 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// Whether the text looks like a code of ISO 4217: three capitals.
pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// Reads `12`, `12.5`, `12.50` as so many smallest units. The error says what is wanted: *must be an amount such as 12.50*.
pub fn minor(text: &str, places: u8) -> Result<i64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    let example = decimal(i64::from(12_u8) * power(places), places);
    if whole.is_empty() || !plain(whole) || !plain(fraction) || text.ends_with('.') {
        return Err(format!("must be an amount such as {example}"));
    }
    let fraction = fraction.trim_end_matches('0');
    let places = usize::from(places);
    if fraction.len() > places {
        return Err(format!("has more places after the point than the currency; write it as {example}"));
    }
    let digits = format!("{whole}{fraction:0<places$}");
    let digits = digits.trim_start_matches('0');
    if digits.len() > DIGITS_MAX {
        return Err("is too large".to_owned());
    }
    if digits.is_empty() { Ok(0) } else { digits.parse().map_err(|_| "is too large".to_owned()) }
}

/// So many smallest units as a decimal: 1250 with two places is `12.50`.
pub fn decimal(minor: i64, places: u8) -> String {
    let places = usize::from(places);
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - places).unwrap_or((&digits, ""));
    let sign = if minor < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// So many units of 10⁻ᶠʳᵒᵐ as units of 10⁻ᵗᵒ. `None` where that is not exact.
pub fn rescaled(minor: i64, from: u8, to: u8) -> Option<i64> {
    if to >= from {
        return minor.checked_mul(power(to - from));
    }
    let by = power(from - to);
    (minor % by == 0).then(|| minor / by)
}

fn power(places: u8) -> i64 {
    10_i64.checked_pow(u32::from(places)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, places, wanted) in [
            ("12.5", 2, 1250),
            ("12", 2, 1200),
            ("012.50", 2, 1250),
            ("0.01", 2, 1),
            ("500", 0, 500),
            ("500.00", 0, 500),
            ("1.234", 3, 1234),
            ("0", 2, 0),
            ("999999999999.99", 2, 99_999_999_999_999),
        ] {
            assert_eq!(minor(text, places), Ok(wanted), "{text}");
        }
        for (text, places) in [
            ("", 2),
            (".5", 2),
            ("12.", 2),
            ("-1", 2),
            ("1,50", 2),
            ("1e3", 2),
            ("12.345", 2),
            ("500.5", 0),
            ("99999999999999999", 0),
            ("NaN", 2),
        ] {
            assert!(minor(text, places).is_err(), "{text}");
        }
        assert_eq!(
            minor("1.005", 2).unwrap_err(),
            "has more places after the point than the currency; write it as 12.00"
        );
    }

    #[test]
    fn amounts_are_written_as_they_are_read() {
        for currency in ["JPY", "EUR", "KWD", "CLF"] {
            let places = exponent(currency);
            for amount in [0, 1, 9, 10, 99, 100, 12_345, 1_000_000] {
                assert_eq!(minor(&decimal(amount, places), places), Ok(amount), "{currency} {amount}");
            }
        }
        assert_eq!(
            (decimal(5, 2).as_str(), decimal(500, 0).as_str(), decimal(1234, 3).as_str()),
            ("0.05", "500", "1.234")
        );
    }

    #[test]
    fn scales_change_exactly_or_not_at_all() {
        assert_eq!(rescaled(500, 0, 2), Some(50_000));
        assert_eq!(rescaled(50_000, 2, 0), Some(500));
        assert_eq!(rescaled(50_001, 2, 0), None);
        assert_eq!(rescaled(i64::MAX, 0, 2), None);
    }
}
