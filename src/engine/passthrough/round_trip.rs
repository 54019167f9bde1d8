//! How long a round trip to source and target takes, and what is done differently where it takes long.
//!
//! "Long" has three lengths, because three things are weighed against it: a further connection, memory, and the work of
//! opening batches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From this round trip on, a connection may not fill the link however much each request brings: below, the largest
/// request lasts for it.
pub(super) const WIDENED_FROM: Duration = Duration::from_millis(2);
/// From this round trip on, the link needs memory to be filled: at 500 MB/s it holds 5 MB, about what a request brings
/// anyway.
const HELD_FROM: Duration = Duration::from_millis(10);
/// From this round trip on, small batches are merged: below, sending them costs less than opening them.
pub(super) const MERGED_FROM: Duration = Duration::from_millis(20);
/// Bytes that a flow between near clusters holds before its lanes wait for each other. Three requests' worth: one on
/// its way, one being written, one being acknowledged. More would only grow the process.
const NEAR_AHEAD_BYTES: u64 = 24 << 20;
/// What one request asks for at most where the source is near.
const NEAR_REQUEST_BYTES: u64 = 8 << 20;

/// The shortest answers seen of each side, which tell the round trip from the work at its end.
#[derive(Debug)]
pub(super) struct RoundTrips {
    source_micros: AtomicU64,
    target_micros: AtomicU64,
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self { source_micros: AtomicU64::new(u64::MAX), target_micros: AtomicU64::new(u64::MAX) }
    }
}

impl RoundTrips {
    /// The source answered within this time.
    pub(super) fn source_answered(&self, within: Duration) {
        note(&self.source_micros, within);
    }

    /// The target answered within this time.
    pub(super) fn target_answered(&self, within: Duration) {
        note(&self.target_micros, within);
    }

    /// What a request to the source may ask for, given what it may at most.
    pub(super) fn request_bytes(&self, most: u64) -> u64 {
        if is_long(&self.source_micros) { most } else { most.min(NEAR_REQUEST_BYTES) }
    }

    /// Bytes that the flow may hold before a lane that holds some waits for others.
    pub(super) fn ahead_bytes(&self) -> u64 {
        if self.are_long() { u64::MAX } else { NEAR_AHEAD_BYTES }
    }

    /// Whether more memory makes the flow faster: a long link holds it, a short one would only grow the process.
    pub(super) fn are_long(&self) -> bool {
        is_long(&self.source_micros) || is_long(&self.target_micros)
    }
}

fn note(shortest: &AtomicU64, within: Duration) {
    shortest.fetch_min(u64::try_from(within.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// One that nobody has made yet counts as short.
fn is_long(shortest: &AtomicU64) -> bool {
    let micros = shortest.load(Ordering::Relaxed);
    micros != u64::MAX && Duration::from_micros(micros) >= HELD_FROM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_round_trip_that_was_always_long_is_long() {
        let round_trips = RoundTrips::default();
        assert_eq!((round_trips.request_bytes(32 << 20), round_trips.ahead_bytes()), (8 << 20, 24 << 20));
        assert_eq!(round_trips.request_bytes(1 << 20), 1 << 20, "a small budget counts more");
        round_trips.source_answered(Duration::from_millis(100));
        assert_eq!((round_trips.request_bytes(32 << 20), round_trips.ahead_bytes()), (32 << 20, u64::MAX));
        round_trips.source_answered(Duration::from_millis(1));
        round_trips.source_answered(Duration::from_millis(90));
        assert_eq!((round_trips.request_bytes(32 << 20), round_trips.ahead_bytes()), (8 << 20, 24 << 20));
        round_trips.target_answered(Duration::from_millis(100));
        assert_eq!((round_trips.request_bytes(32 << 20), round_trips.ahead_bytes()), (8 << 20, u64::MAX));
    }
}
