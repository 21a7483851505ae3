//! Values as users write them: probabilities, sizes, durations, segment sizes.
//!
//! Each function is a parser for one kind of argument. An error says what would
//! have been right; which argument it was, the caller says.

use core::time::Duration;

use tou_proto::Port;

/// Smallest MSS, as in the core's configuration.
const MIN_MSS: u16 = 64;

/// Largest MSS: the largest UDP payload over IPv4 less a TCP header.
const MAX_MSS: u16 = 65_507 - 20;

/// Longest delay, as in the impairment.
const MAX_DELAY: Duration = tou_udp::Impairer::MAX_DELAY;

/// Longest timeout that makes sense to anybody.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);

/// Longest retransmission timeout, as in the core.
pub(crate) const MAX_RTO: Duration = Duration::from_secs(60);

/// Smallest and largest buffer, as in the core's configuration.
const BUFFERS: core::ops::RangeInclusive<u64> = 2 << 10..=1 << 30;

/// Largest probe of `tou ping`.
const MAX_PROBE: u64 = 16 << 20;

/// A probability: 0 to 1.
pub(crate) fn probability(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    value
        .ok()
        .filter(|value| (0.0..=1.0).contains(value))
        .ok_or_else(|| "a probability is a number from 0 to 1, such as 0.05".to_owned())
}

/// A number of bytes: `1000`, `64KiB`, `1.5 GB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let rule = || "a size is a number and a unit, such as 512, 64KiB or 8MiB".to_owned();
    let (number, unit) = number_and_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1_u64 << 40,
        _ => return Err(rule()),
    };
    scaled(number, factor).ok_or_else(rule)
}

/// A length of time: `20ms`, `1.5s`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let rule = || "a duration is a number and a unit, such as 500us, 20ms or 1.5s".to_owned();
    let (number, unit) = number_and_unit(text);
    let nanos = match unit.to_ascii_lowercase().as_str() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        // Nothing is nothing in any unit.
        "" if number == "0" => 1,
        _ => return Err(rule()),
    };
    scaled(number, nanos).map(Duration::from_nanos).ok_or_else(rule)
}

/// A delay of datagrams.
pub(crate) fn delay(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|delay| match delay {
        delay if delay <= MAX_DELAY => Ok(delay),
        _ => Err(format!("a delay is at most {MAX_DELAY:?}")),
    })
}

/// A time to wait.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|timeout| match timeout {
        Duration::ZERO => Err("a timeout is longer than nothing".to_owned()),
        timeout if timeout > MAX_TIMEOUT => Err("a timeout is at most 24h".to_owned()),
        timeout => Ok(timeout),
    })
}

/// A retransmission timeout.
pub(crate) fn rto(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|rto| (Duration::from_millis(1)..=MAX_RTO).contains(rto))
        .ok_or_else(|| "a retransmission timeout is a time from 1ms to 60s".to_owned())
}

/// The size of a buffer.
pub(crate) fn buffer(text: &str) -> Result<u64, String> {
    size(text)
        .ok()
        .filter(|size| BUFFERS.contains(size))
        .ok_or_else(|| "a buffer is a size from 2KiB to 1GiB, such as 4MiB".to_owned())
}

/// The size of a probe.
pub(crate) fn probe(text: &str) -> Result<usize, String> {
    size(text)
        .ok()
        .filter(|size| (1..=MAX_PROBE).contains(size))
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| "a probe is a size from 1 to 16MiB".to_owned())
}

/// The time between probes; a plain number counts seconds, as ping has it.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let is_plain = text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    let interval = if is_plain { duration(&format!("{text}s")) } else { duration(text) };
    interval
        .ok()
        .filter(|interval| *interval <= MAX_TIMEOUT)
        .ok_or_else(|| "an interval is a number of seconds or a time, such as 0.2 or 200ms".into())
}

/// Duplicate acknowledgments that mean loss.
pub(crate) fn dupthresh(text: &str) -> Result<u32, String> {
    small_number(text, "a threshold of duplicates")
}

/// Retransmissions in a row.
pub(crate) fn retries(text: &str) -> Result<u32, String> {
    small_number(text, "a number of retransmissions")
}

/// How many probes.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count >= 1);
    count.ok_or_else(|| "a count is a number from 1".to_owned())
}

/// A port that is somebody's.
pub(crate) fn port(text: &str) -> Result<Port, String> {
    let port = text.parse().ok().and_then(Port::new);
    port.ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}

fn small_number(text: &str, what: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=255).contains(number));
    number.ok_or_else(|| format!("{what} is from 1 to 255"))
}

/// A maximum segment size.
pub(crate) fn mss(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|mss| (MIN_MSS..=MAX_MSS).contains(mss))
        .ok_or_else(|| format!("an MSS is a number from {MIN_MSS} to {MAX_MSS}"))
}

/// Splits `20ms` into `20` and `ms`.
fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `number`, perhaps with decimals, times `factor`, rounded down. Exact: no
/// floating point comes near a size.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && decimals.is_empty() || decimals.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let decimals = decimals.trim_end_matches('0');
    let mut fraction = 0;
    if !decimals.is_empty() {
        // More than 18 decimals say nothing about any unit here.
        let decimals = decimals.get(..decimals.len().min(18))?;
        let digits = u32::try_from(decimals.len()).ok()?;
        let scale = 10_u128.pow(digits);
        let parts = u128::from(decimals.parse::<u64>().ok()?) * u128::from(factor) / scale;
        fraction = u64::try_from(parts).ok()?;
    }
    whole.checked_mul(factor)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn probabilities_are_between_zero_and_one() {
        assert_eq!(probability("0"), Ok(0.0));
        assert_eq!(probability("0.05"), Ok(0.05));
        assert_eq!(probability("1"), Ok(1.0));
        assert_eq!(probability("5%"), Ok(0.05));
        for wrong in ["", "1.01", "-0.1", "NaN", "inf", "x", "101%", "%", "0,5"] {
            assert!(probability(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("512B"), Ok(512));
        assert_eq!(size("1kB"), Ok(1_000));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("64 KiB"), Ok(65_536));
        assert_eq!(size("8MiB"), Ok(8 << 20));
        assert_eq!(size("8mib"), Ok(8 << 20));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert_eq!(size(".5KiB"), Ok(512));
        assert_eq!(size("1.0000000000000000000000001KiB"), Ok(1_024));
        assert_eq!(size("18446744073709551615"), Ok(u64::MAX));
        for wrong in ["", "B", ".", "1.2.3", "-1", "1 2", "8XB", "8MiBs", "18446744073709551616"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(size("99999999TiB").is_err(), "too large for a number");
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("250 µs"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "20", "ms", "20 parsecs", "-1s", "1e3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_hold() {
        assert!(delay("60s").is_ok());
        assert!(delay("61s").is_err());
        assert!(timeout("0s").is_err());
        assert_eq!(mss("64"), Ok(64));
        assert_eq!(mss("65487"), Ok(65_487));
        for wrong in ["63", "65488", "0", "-5", "1k", ""] {
            assert!(mss(wrong).is_err(), "{wrong}");
        }
        assert!(timeout("24h").is_ok());
        assert!(timeout("25h").is_err());
        assert!(rto("999us").is_err() && rto("1ms").is_ok());
        assert!(rto("60s").is_ok() && rto("61s").is_err());
        assert!(buffer("2047").is_err() && buffer("2KiB").is_ok());
        assert!(buffer("1GiB").is_ok() && buffer("1.1GiB").is_err());
        assert!(probe("0").is_err() && probe("16MiB").is_ok() && probe("17MiB").is_err());
        assert!(dupthresh("0").is_err() && dupthresh("255").is_ok() && retries("256").is_err());
        assert!(count("0").is_err() && count("1").is_ok());
        assert!(port("0").is_err() && port("65535").is_ok() && port("65536").is_err());
    }

    #[test]
    fn an_interval_without_a_unit_counts_seconds() {
        assert_eq!(interval("0.2"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("0"), Ok(Duration::ZERO));
        for wrong in ["", "-1", "x", ".", "25h", "1.2.3"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    quickcheck! {
        fn whole_sizes_come_back(bytes: u64) -> bool {
            size(&bytes.to_string()) == Ok(bytes)
        }

        fn any_text_is_a_value_or_an_error(text: String) -> bool {
            let _ = (probability(&text), size(&text), duration(&text), mss(&text));
            let _ = (interval(&text), buffer(&text), rto(&text), probe(&text));
            true
        }
    }
}
