//! Figures as people read them.

use core::time::Duration;

/// `67,108,864`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes: `1 byte`, `1,440 bytes`.
pub(crate) fn bytes(number: u64) -> String {
    counted(number, "byte")
}

/// `1 segment`, `2 segments`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A size in the largest binary unit that fits: `64 MiB`, `1.50 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    let scale = 1_u64 << (10 * unit);
    let name = UNITS[unit as usize];
    if bytes.is_multiple_of(scale) {
        format!("{} {name}", bytes / scale)
    } else {
        format!("{:.2} {name}", bytes as f64 / scale as f64)
    }
}

/// A time with three or four digits: `1.234 s`, `20.0 ms`, `85.3 µs`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        0.0 => "0 s".to_owned(),
        1.0.. => format!("{seconds:.3} s"),
        0.001.. => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.1} µs", seconds * 1e6),
    }
}

/// Milliseconds with three decimals, without the unit.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

/// How fast so many bytes were in that time: `435.2 Mbit/s (51.9 MiB/s)`.
pub(crate) fn rate(bytes: u64, time: Duration) -> String {
    if time.is_zero() {
        return "no time".to_owned();
    }
    let per_second = bytes as f64 / time.as_secs_f64();
    let bits = per_second * 8.0;
    let bits = match bits {
        1e9.. => format!("{:.2} Gbit/s", bits / 1e9),
        1e6.. => format!("{:.1} Mbit/s", bits / 1e6),
        _ => format!("{:.1} kbit/s", bits / 1e3),
    };
    let bytes = match per_second {
        1_048_576.0.. => format!("{:.1} MiB/s", per_second / 1_048_576.0),
        _ => format!("{:.1} KiB/s", per_second / 1_024.0),
    };
    format!("{bits} ({bytes})")
}

/// A probability: `5 %`.
pub(crate) fn percent(probability: f64) -> String {
    // Two decimals, and no more of them than are needed.
    let text = format!("{:.2}", probability * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Octets as hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(67_108_864), "67,108,864");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(1_440), "1,440 bytes");
    }

    #[test]
    fn sizes_take_the_largest_unit() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(1_023), "1023 bytes");
        assert_eq!(size(1_536), "1.50 KiB");
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!(size(u64::MAX), "16777216.00 TiB");
    }

    #[test]
    fn times_and_rates_have_fitting_units() {
        assert_eq!(time(Duration::from_millis(1_234)), "1.234 s");
        assert_eq!(time(Duration::from_micros(20_000)), "20.0 ms");
        assert_eq!(time(Duration::from_nanos(85_300)), "85.3 µs");
        assert_eq!(time(Duration::ZERO), "0 s");
        assert_eq!(rate(1 << 20, Duration::from_secs(1)), "8.4 Mbit/s (1.0 MiB/s)");
        assert_eq!(rate(1 << 30, Duration::from_secs(1)), "8.59 Gbit/s (1024.0 MiB/s)");
        assert_eq!(rate(1_000, Duration::from_secs(2)), "4.0 kbit/s (0.5 KiB/s)");
        assert_eq!(rate(1_000, Duration::ZERO), "no time");
    }

    #[test]
    fn percents_have_no_needless_decimals() {
        assert_eq!(percent(0.05), "5 %");
        assert_eq!(percent(0.125), "12.5 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn octets_become_two_digits_each() {
        assert_eq!(hex(&[0, 0x0f, 0xff]), "000fff");
    }
}
