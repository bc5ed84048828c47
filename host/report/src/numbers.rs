//! Numbers as people read them. One place, so that every form of the report says the same.

use crate::statistics::{Interval, Measured, MetricKind};

/// A metric's value: shares in percent, other numbers to about four digits; a dash when there is none.
pub fn value(measured: &Measured) -> String {
    match (measured.value, measured.kind) {
        (None, _) => "–".to_owned(),
        (Some(value), MetricKind::Proportion) => percent(value),
        (Some(value), _) => plain(value),
    }
}

/// A metric's interval, in the unit of its value; a dash when there is none.
pub fn interval(measured: &Measured) -> String {
    measured.interval.map_or_else(|| "–".to_owned(), |interval| range(interval, measured.kind))
}

/// From low to high.
pub fn range([low, high]: Interval, kind: MetricKind) -> String {
    match kind {
        MetricKind::Proportion => format!("{} – {}", percent(low).trim_end_matches(" %"), percent(high)),
        _ => format!("{} – {}", plain(low), plain(high)),
    }
}

/// A share in percent with one decimal; more where one would round it to nothing or to all.
pub fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    let rounded = (hundred * 10.0).round() / 10.0;
    if (rounded == 0.0 && share > 0.0) || (rounded == 100.0 && share < 1.0) {
        format!("{hundred:.3} %")
    } else {
        format!("{hundred:.1} %")
    }
}

/// A number to about four digits; a whole one, which is mostly a count, without decimals.
pub fn plain(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 {
        "0".to_owned()
    } else if number.fract() == 0.0 && size < 1e7 {
        format!("{number:.0}")
    } else if !(1e-3..1e7).contains(&size) {
        format!("{number:.2e}")
    } else if size >= 1000.0 {
        format!("{number:.0}")
    } else if size >= 100.0 {
        format!("{number:.1}")
    } else if size >= 10.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.3}")
    }
}

/// An integer with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Seconds.
pub fn seconds(seconds: f64) -> String {
    if seconds >= 5400.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else if seconds >= 90.0 {
        format!("{:.1} min", seconds / 60.0)
    } else if seconds >= 10.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.2} s")
    }
}

/// A size in binary units.
pub fn bytes(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    if kib < 1.0 {
        format!("{bytes} B")
    } else if kib < 1024.0 {
        format!("{kib:.0} KiB")
    } else if kib < 1024.0 * 1024.0 {
        format!("{:.1} MiB", kib / 1024.0)
    } else {
        format!("{:.2} GiB", kib / (1024.0 * 1024.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_to_none_or_to_all() {
        let cases =
            [(0.0, "0.0 %"), (0.425, "42.5 %"), (1.0, "100.0 %"), (0.0004, "0.040 %"), (0.9999, "99.990 %")];
        for (share, expected) in cases {
            assert_eq!(percent(share), expected);
        }
    }

    #[test]
    fn numbers_keep_about_four_digits() {
        let cases = [
            (0.0, "0"),
            (0.41234, "0.412"),
            (-12.345, "-12.35"),
            (123456.0, "123456"),
            (2e-5, "2.00e-5"),
            (7.0, "7"),
            (0.999_96, "1.000"),
        ];
        for (number, expected) in cases {
            assert_eq!(plain(number), expected);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(thousands(999), "999");
    }
}
