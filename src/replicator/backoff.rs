//! How long to wait before trying again.

use std::time::Duration;

/// First delay: shorter than a leader election takes, so a second try rarely comes too late.
const FIRST: Duration = Duration::from_secs(1);
/// Longest delay of a partition: how stale a mended fault may look to the person who mended it.
const CAP: Duration = Duration::from_secs(30);

/// Exponential delays from 1 s on, with jitter so that what failed together does not return together.
#[derive(Debug)]
pub(super) struct RetryBackoff {
    attempt: u32,
    longest: Duration,
    random: u64,
}

impl RetryBackoff {
    /// Delays of a partition: up to 30 s.
    pub(super) fn new(seed: u64) -> Self {
        Self::up_to(CAP, seed)
    }

    /// Delays up to `longest`.
    pub(super) fn up_to(longest: Duration, seed: u64) -> Self {
        Self { attempt: 0, longest, random: seed }
    }

    /// The next delay, longer than the last on average.
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.attempt.min(6)).min(self.longest);
        self.attempt = self.attempt.saturating_add(1);
        self.jitter(whole)
    }

    /// The longest delay, for what only a person can mend.
    pub(super) fn cap(&mut self) -> Duration {
        self.jitter(self.longest)
    }

    /// Starts from the shortest delay again.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// A delay between half of `whole` and `whole`.
    fn jitter(&mut self, whole: Duration) -> Duration {
        // SplitMix64: small, seeded, and good enough to spread delays.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let half = whole / 2;
        half + half.mul_f64((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_start_again_after_a_reset() {
        let mut backoff = RetryBackoff::new(7);
        for whole in [1, 2, 4, 8, 16, 30, 30] {
            let delay = backoff.next();
            let whole = Duration::from_secs(whole);
            assert!(delay >= whole / 2 && delay <= whole, "{delay:?} is not within half of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
        assert!(backoff.cap() >= CAP / 2);
    }

    #[test]
    fn seeds_spread_the_delays() {
        let first: std::collections::BTreeSet<_> =
            (0..50).map(|seed| RetryBackoff::new(seed).next()).collect();
        assert!(first.len() > 40, "only {} different delays of 50", first.len());
    }
}
