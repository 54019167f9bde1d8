//! Durations and sizes as people write them.

use std::time::Duration;

/// Reads `500ms`, `5s`, `1m 30s`, `2h`.
///
/// Fails with what is wrong; a bare number is refused because its unit would be a guess.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("has no unit; write {text}s or {text}ms"));
    }
    humantime::parse_duration(text).map_err(|_| "is not a duration".to_owned())
}

/// Shows a duration the way [`duration`] reads it.
pub(crate) fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

const UNITS: [(&str, u64); 9] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
];

/// Reads `64KiB`, `96MiB`, `1GiB`, `100MB` or plain bytes.
///
/// Fails with what is wrong.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| lower.strip_suffix(suffix).map(|number| (number, *unit)))
        .unwrap_or((lower.strip_suffix('b').unwrap_or(&lower), 1));
    let number: u64 = number.trim().parse().map_err(|_| "is not a size".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "is too large".to_owned())
}

/// Shows a size the way [`size`] reads it.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("5").unwrap_err().contains("5s or 5ms"));
        assert!(duration("soon").is_err());
        assert!(duration("").is_err());
        assert!(duration("-5s").is_err());
    }

    #[test]
    fn sizes_take_both_kinds_of_units() {
        assert_eq!(size("96MiB"), Ok(96 << 20));
        assert_eq!(size("64 kib"), Ok(64 << 10));
        assert_eq!(size("1GB"), Ok(1_000_000_000));
        assert_eq!(size("1048576"), Ok(1 << 20));
        assert_eq!(size("10b"), Ok(10));
        assert!(size("much").is_err());
        assert!(size("-1MiB").is_err());
        assert!(size("99999999999999GiB").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes in any::<u64>(), millis in 0_u64..1 << 40) {
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
            let length = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(length)), Ok(length));
        }
    }
}
