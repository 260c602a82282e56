//! Whether a number is still the same one after a machine number was made of its digits.

use serde_json::Number;

/// Whether a number of JSON is the same after it was read and written. What the parser refuses, it refuses itself.
pub(super) fn is_kept(number: &str) -> bool {
    // Fifteen digits are always kept, and nearly all numbers have no more.
    if number.len() <= 15 && !number.contains(['e', 'E']) {
        return true;
    }
    serde_json::from_str::<Number>(number).map_or(true, |read| is_same(&read, number))
}

/// Whether a number was read as what its text says.
pub(super) fn is_same(read: &Number, number: &str) -> bool {
    Decimal::of(&read.to_string()) == Decimal::of(number)
}

/// A number's digits without zeros around them, and where its point stands.
#[derive(Debug, Default, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(number: &str) -> Self {
        let (negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let moved = i64::try_from(all.len() - digits.len()).unwrap_or_default() - i64::try_from(fraction.len()).unwrap_or_default();
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Self::default();
        }
        Self { negative, digits, exponent: exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_add(moved) }
    }
}
