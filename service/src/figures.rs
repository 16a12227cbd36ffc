//! Numbers for people.

use core::fmt;

/// Significant digits of a figure.
const DIGITS: usize = 3;

/// A number with three significant digits, such as `0.00555`, `0.500`, `12.3`, `1235` or `2.10e-7`: a
/// small loss stays telling.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Figure(pub f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = *self;
        let mut size = value.abs();
        if size == 0.0 || !size.is_finite() {
            return write!(f, "{value}");
        }
        if !(1e-4..1e7).contains(&size) {
            return write!(f, "{value:.*e}", DIGITS - 1);
        }
        let mut decimals = DIGITS - 1;
        while size >= 10.0 && decimals > 0 {
            (size, decimals) = (size / 10.0, decimals - 1);
        }
        while size < 1.0 {
            (size, decimals) = (size * 10.0, decimals + 1);
        }
        write!(f, "{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_figure_has_three_digits_that_tell_something() {
        let cases = [
            (0.005_554, "0.00555"),
            (0.5, "0.500"),
            (-12.345, "-12.3"),
            (1.0, "1.00"),
            (1234.5678, "1235"),
            (100.0, "100"),
            (2.1e-7, "2.10e-7"),
            (4.0e9, "4.00e9"),
            (0.0, "0"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in cases {
            assert_eq!(Figure(value).to_string(), text);
        }
    }
}
