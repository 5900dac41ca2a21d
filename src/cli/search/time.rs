//! Times as users write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads a day, a time (UTC) or a span before now, as seconds since 1970.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .or_else(|_| humantime::parse_rfc3339_weak(&format!("{text} 00:00:00")))
        .ok()
        .or_else(|| SystemTime::now().checked_sub(humantime::parse_duration(text).ok()?));
    let seconds = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    seconds
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .ok_or_else(|| "expected 2026-11-23, 2026-11-23T09:00:00Z or, before now, 7d".to_owned())
}

/// A time, seconds since 1970, in the form of RFC 3339.
pub(super) fn format(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let midnight = parse("2026-11-23").unwrap();
        assert_eq!(format(midnight), "2026-11-23T00:00:00Z");
        assert_eq!(parse("2026-11-23T09:00:00Z"), Ok(midnight + 9 * 3600));
        assert_eq!(parse("2026-11-23 09:00:00"), Ok(midnight + 9 * 3600));
    }

    #[test]
    fn a_span_counts_back_from_now() {
        let (week, day) = (parse("7d").unwrap(), parse("1day").unwrap());
        assert!((day - week - 6 * 86_400).abs() < 5);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "yesterday", "2026-13-01", "2026-11", "-1d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
