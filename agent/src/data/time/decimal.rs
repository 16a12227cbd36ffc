//! Decimal numbers in text, exactly: 64-bit floats lose nanoseconds since 1970.

/// Most digits that are looked at; more digits after the point change nothing.
const DIGITS_MAX: u32 = 36;

/// The number in `text` times 10^`power`, rounded to the nearest integer; `None` when it is no
/// decimal number or too large.
pub(super) fn scaled(text: &str, power: i32) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let at_exponent = digits.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match at_exponent {
        Some(at) => {
            let text = std::str::from_utf8(digits.get(at + 1..)?).ok()?;
            (digits.get(..at)?, text.parse::<i32>().ok().filter(|e| e.abs() <= 400)?)
        }
        None => (digits, 0),
    };
    let (mut number, mut seen, mut kept, mut after_point) = (0_i128, false, 0_u32, None);
    for byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                if kept < DIGITS_MAX {
                    number = number.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                    kept += u32::from(number != 0);
                    after_point = after_point.map(|count: i32| count + 1);
                } else if after_point.is_none() {
                    return None;
                }
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return None,
        }
    }
    let number = if negative { -number } else { number };
    let shift = power + exponent - after_point.unwrap_or(0);
    let size = 10_i128.checked_pow(shift.unsigned_abs());
    match (seen, size) {
        (false, _) => None,
        (true, Some(size)) if shift >= 0 => number.checked_mul(size),
        (true, Some(size)) => Some(rounded(number, size)),
        (true, None) => (shift < 0 || number == 0).then_some(0),
    }
}

/// `number / size` to the nearest integer, halves away from 0; `size` above 0.
pub(super) fn rounded(number: i128, size: i128) -> i128 {
    let (whole, rest) = (number / size, number % size);
    whole + if rest.abs() >= size - rest.abs() { rest.signum() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_everything_else_is_none() {
        assert_eq!(scaled("1700000000.123456", 6), Some(1_700_000_000_123_456));
        assert_eq!(scaled("1732340000123456789", -3), Some(1_732_340_000_123_457));
        assert_eq!(scaled("-0.0000005", 6), Some(-1));
        assert_eq!(scaled("3.67E-02", 6), Some(36_700));
        assert_eq!(scaled("1e9", 6), Some(1_000_000_000_000_000));
        assert_eq!(scaled(".5", 1), Some(5));
        assert_eq!(scaled("5.", 0), Some(5));
        let long = format!("0.{}", "1".repeat(100));
        assert_eq!(scaled(&long, 3), Some(111));
        for text in ["", "-", ".", "1.2.3", "1e", "e5", "0x1", "1 2", "inf", "NaN", "1e999", "é"] {
            assert_eq!(scaled(text, 6), None, "{text}");
        }
        assert_eq!(scaled(&"9".repeat(60), 0), None);
        assert_eq!(scaled("1e300", 0), None);
        assert_eq!(scaled("1e-300", 0), Some(0));
    }
}
