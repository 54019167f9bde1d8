//! Wall-clock time, for what people and other programs read. Deadlines use the monotonic clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time that people read off a clock. It may go back, and it may jump.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since the epoch; 0 on a clock set before it.
pub fn now_ms() -> i64 {
    ms_of(now())
}

/// A time as milliseconds since the epoch; 0 if it lies before it.
pub fn ms_of(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
