//! Units of channels: whether two texts name the same one, and how to convert between those that
//! are known.

/// A known unit: its spellings, and what one of it is in the base unit of its kind, which is
/// `value * factor + offset`.
struct Unit {
    kind: Kind,
    factor: f64,
    offset: f64,
    spellings: &'static [&'static str],
}

/// What a unit measures. Units of one kind can be converted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Acceleration,
    Turning,
    Temperature,
    Glucose,
    Pressure,
    Voltage,
    Current,
    Share,
    Length,
    Speed,
    MagneticField,
    Frequency,
    Time,
    Light,
    Power,
    Angle,
}

const fn unit(kind: Kind, factor: f64, spellings: &'static [&'static str]) -> Unit {
    Unit { kind, factor, offset: 0.0, spellings }
}

const fn shifted(factor: f64, offset: f64, spellings: &'static [&'static str]) -> Unit {
    Unit { kind: Kind::Temperature, factor, offset, spellings }
}

/// Standard gravity in m/s2.
const GRAVITY: f64 = 9.806_65;
const DEGREE: f64 = std::f64::consts::PI / 180.0;
/// mg/dL of glucose in one mmol/L: 180.156 g make a mole.
const GLUCOSE: f64 = 18.0156;

/// Known units; spellings as [`normalised`] leaves them.
const UNITS: &[Unit] = &[
    unit(Kind::Acceleration, 1.0, &["m/s2", "m/s/s", "ms-2", "m*s-2", "mps2"]),
    unit(Kind::Acceleration, GRAVITY, &["g", "gn", "g0"]),
    unit(Kind::Acceleration, GRAVITY / 1e3, &["mg", "milli-g", "milli_g", "mgn"]),
    unit(Kind::Acceleration, 0.01, &["cm/s2", "gal"]),
    unit(Kind::Acceleration, 0.001, &["mm/s2"]),
    unit(Kind::Turning, 1.0, &["rad/s", "rads-1", "rads/s"]),
    unit(Kind::Turning, 0.001, &["mrad/s"]),
    unit(Kind::Turning, DEGREE, &["deg/s", "dps", "degrees/s", "degree/s", "deg/sec"]),
    unit(Kind::Turning, DEGREE / 1e3, &["mdeg/s", "mdps"]),
    unit(Kind::Turning, 6.0 * DEGREE, &["rpm"]),
    shifted(1.0, 0.0, &["k", "kelvin"]),
    shifted(1.0, 273.15, &["c", "degc", "celsius"]),
    shifted(0.001, 273.15, &["mc", "mdegc"]),
    shifted(5.0 / 9.0, 273.15 - 160.0 / 9.0, &["f", "degf", "fahrenheit"]),
    unit(Kind::Glucose, GLUCOSE, &["mmol/l"]),
    unit(Kind::Glucose, 1.0, &["mg/dl"]),
    unit(Kind::Pressure, 1.0, &["pa", "pascal"]),
    unit(Kind::Pressure, 100.0, &["hpa", "mbar"]),
    unit(Kind::Pressure, 1e3, &["kpa"]),
    unit(Kind::Pressure, 1e5, &["bar"]),
    unit(Kind::Pressure, 101_325.0, &["atm"]),
    unit(Kind::Pressure, 133.322_387_415, &["mmhg"]),
    unit(Kind::Pressure, 6_894.757_293_168, &["psi"]),
    unit(Kind::Voltage, 1.0, &["v", "volt"]),
    unit(Kind::Voltage, 1e-3, &["mv", "millivolt"]),
    unit(Kind::Voltage, 1e-6, &["uv", "microvolt"]),
    unit(Kind::Current, 1.0, &["a", "ampere"]),
    unit(Kind::Current, 1e-3, &["ma"]),
    unit(Kind::Current, 1e-6, &["ua"]),
    unit(Kind::Share, 1.0, &["1", "ratio"]),
    unit(Kind::Share, 0.01, &["%", "percent", "pct", "%rh", "rh%"]),
    unit(Kind::Share, 0.001, &["‰", "permille"]),
    unit(Kind::Share, 1e-6, &["ppm"]),
    unit(Kind::Length, 1.0, &["m"]),
    unit(Kind::Length, 0.01, &["cm"]),
    unit(Kind::Length, 0.001, &["mm"]),
    unit(Kind::Length, 1e3, &["km"]),
    unit(Kind::Speed, 1.0, &["m/s", "ms-1", "mps"]),
    unit(Kind::Speed, 1.0 / 3.6, &["km/h", "kmh", "kph"]),
    unit(Kind::MagneticField, 1.0, &["ut", "microtesla"]),
    unit(Kind::MagneticField, 1e3, &["mt"]),
    unit(Kind::MagneticField, 1e6, &["t", "tesla"]),
    unit(Kind::MagneticField, 100.0, &["gauss"]),
    unit(Kind::Frequency, 1.0, &["hz", "1/s"]),
    unit(Kind::Frequency, 1.0 / 60.0, &["bpm", "1/min", "beats/min"]),
    unit(Kind::Time, 1.0, &["s", "sec"]),
    unit(Kind::Time, 0.001, &["ms", "msec"]),
    unit(Kind::Time, 60.0, &["min"]),
    unit(Kind::Light, 1.0, &["lx", "lux"]),
    unit(Kind::Power, 1.0, &["w", "watt"]),
    unit(Kind::Power, 1e-3, &["mw", "milliwatt"]),
    unit(Kind::Angle, 1.0, &["rad", "radians"]),
    unit(Kind::Angle, DEGREE, &["deg", "degrees"]),
];

/// How values in `from` become values in `to`: `value * factor + offset`. `(1, 0)` where both name
/// the same unit, known or not; `None` where they differ and cannot be converted.
///
/// Spellings may differ in case, spaces and signs: `m/s^2`, `m/s²` and `m/s2` are one unit. `mg` is a
/// thousandth of gravity. Between `mg/dL` and `mmol/L` the substance is taken to be glucose.
pub fn conversion(from: &str, to: &str) -> Option<(f64, f64)> {
    if is_same(from, to) {
        return Some((1.0, 0.0));
    }
    let (from, to) = (find(from)?, find(to)?);
    if from.kind != to.kind {
        return None;
    }
    Some((from.factor / to.factor, (from.offset - to.offset) / to.factor))
}

/// Whether two texts name the same unit, known or not.
pub fn is_same(a: &str, b: &str) -> bool {
    let same = |(a, b): (&Unit, &Unit)| std::ptr::eq(a, b);
    let spelt_alike = normalised(a) == normalised(b) && is_mega(a) == is_mega(b);
    spelt_alike || find(a).zip(find(b)).is_some_and(same)
}

fn find(text: &str) -> Option<&'static Unit> {
    let plain = normalised(text);
    UNITS.iter().find(|unit| unit.spellings.contains(&plain.as_str()) && !is_mega(text))
}

/// Mega is not milli, which is all that the size of a letter tells.
fn is_mega(text: &str) -> bool {
    matches!(text.trim(), "MV" | "MT" | "MA" | "MW" | "Ms" | "MS") || text.trim().starts_with("MPa")
}

/// `text` in small letters and plain signs, without spaces.
fn normalised(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for sign in text.trim().chars() {
        match sign {
            ' ' | '^' | '\u{a0}' | '(' | ')' => {}
            '²' => plain.push('2'),
            '⁻' => plain.push('-'),
            '¹' => plain.push('1'),
            '·' | '⋅' | '×' => plain.push('*'),
            'µ' | 'μ' => plain.push('u'),
            '°' | 'º' => plain.push_str("deg"),
            _ => plain.extend(sign.to_lowercase()),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `value` of `from` in `to`.
    fn convert(value: f64, from: &str, to: &str) -> f64 {
        let (factor, offset) = conversion(from, to).unwrap_or_else(|| panic!("{from} to {to}"));
        value * factor + offset
    }

    #[test]
    fn known_units_of_one_kind_are_converted() {
        let cases = [
            (1.0, "g", "m/s2", 9.80665),
            (9.80665, "m/s²", "g", 1.0),
            (1000.0, "mg", "g", 1.0),
            (500.0, "mg", "m/s^2", 4.903_325),
            (180.0, "deg/s", "rad/s", std::f64::consts::PI),
            (1.0, "rad/s", "dps", 57.295_779_513_082_32),
            (37.0, "°C", "F", 98.6),
            (98.6, "°F", "C", 37.0),
            (20.0, "C", "K", 293.15),
            (112.0, "mg/dL", "mmol/L", 6.216_834_300_273),
            (6.0, "mmol/l", "mg/dl", 108.0936),
            (1013.25, "hPa", "kPa", 101.325),
            (101_325.0, "Pa", "hPa", 1013.25),
            (41.07, "%", "1", 0.4107),
            (2125.0, "mV", "V", 2.125),
            (72.0, "bpm", "Hz", 1.2),
        ];
        for (value, from, to, expected) in cases {
            let found = convert(value, from, to);
            assert!(
                (found - expected).abs() < 1e-9 * expected.abs(),
                "{value} {from}: {found} {to}"
            );
        }
    }

    #[test]
    fn the_same_unit_is_left_exactly_as_it_is_also_where_it_is_unknown() {
        let same = [
            ("g", " G "),
            ("m/s2", "m/s^2"),
            ("m / s²", "m/s2"),
            ("m s⁻²", "m/s2"),
            ("°/s", "deg/s"),
            ("mg/dL", "mg/dl"),
            ("Banana", "banana"),
            ("µT", "uT"),
            ("", ""),
        ];
        for (a, b) in same {
            assert_eq!(conversion(a, b), Some((1.0, 0.0)), "{a} and {b}");
        }
    }

    #[test]
    fn what_is_unknown_or_of_another_kind_is_not_converted() {
        let cases =
            [("g", "rad/s"), ("g", "banana"), ("MV", "V"), ("MPa", "Pa"), ("g", ""), ("", "1")];
        for (from, to) in cases {
            assert_eq!(conversion(from, to), None, "{from} to {to}");
        }
        assert_eq!(conversion("MV", "mV"), None, "mega is not milli");
    }

    #[test]
    fn no_spelling_names_two_units() {
        let mut all: Vec<&str> = UNITS.iter().flat_map(|unit| unit.spellings).copied().collect();
        assert!(all.iter().all(|spelling| normalised(spelling) == *spelling));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
