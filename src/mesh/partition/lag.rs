//! Lag in time, without asking the source for a record: when was the end first seen beyond our position?

use std::collections::VecDeque;

/// Ends that are remembered; when there are more, neighbours are merged, which only makes the answer coarser.
const REMEMBERED: usize = 64;

/// Ages of the source's ends, as this process saw them.
#[derive(Debug, Default)]
pub(super) struct LagClock {
    /// (end, when it was first seen), both rising.
    ends: VecDeque<(i64, i64)>,
}

impl LagClock {
    /// Notes the end that can be mirrored at `now_ms`. A lower end (truncation, re-creation) starts anew.
    pub(super) fn saw_end(&mut self, end: i64, now_ms: i64) {
        match self.ends.back() {
            Some((last, _)) if end == *last => return,
            Some((last, _)) if end < *last => self.ends.clear(),
            _ => {}
        }
        if self.ends.len() == REMEMBERED {
            // Two become one with the later end and the earlier sight: an age is never told too low.
            let pairs = self.ends.make_contiguous().chunks(2);
            self.ends = pairs.map(|pair| (pair[pair.len() - 1].0, pair[0].1)).collect();
        }
        self.ends.push_back((end, now_ms));
    }

    /// Age of the oldest record not yet mirrored at `next`, in milliseconds; 0 when caught up, `None` before the
    /// first end was seen. `mirrored_ms` is the timestamp of the newest mirrored record: while a backlog from
    /// before this process is worked off, it tells more than our own memory.
    pub(super) fn lag_ms(&mut self, next: i64, mirrored_ms: Option<i64>, now_ms: i64) -> Option<i64> {
        let (newest_end, _) = *self.ends.back()?;
        if next >= newest_end {
            self.ends.drain(..self.ends.len() - 1);
            return Some(0);
        }
        let first_end = self.ends.front().map(|(end, _)| *end);
        // Ends at or before the position can't be the answer any more, but the last of them shows that what
        // lies beyond came later than the start of our memory.
        while self.ends.len() > 1 && self.ends[1].0 <= next {
            self.ends.pop_front();
        }
        let beyond = self.ends.iter().find(|(end, _)| *end > next).map(|(_, seen)| *seen)?;
        let seen_age = (now_ms - beyond).max(0);
        let backlog = first_end.is_some_and(|end| next < end);
        Some(match mirrored_ms {
            Some(stamp) if backlog && stamp > 0 => seen_age.max(now_ms - stamp),
            _ => seen_age,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caught_up_is_zero_and_unknown_is_none() {
        let mut lag = LagClock::default();
        assert_eq!(lag.lag_ms(5, None, 100), None);
        lag.saw_end(5, 100);
        assert_eq!(lag.lag_ms(5, None, 9_000), Some(0));
    }

    #[test]
    fn a_burst_after_an_idle_hour_is_as_old_as_its_first_sight() {
        let mut lag = LagClock::default();
        lag.saw_end(5, 0);
        assert_eq!(lag.lag_ms(5, Some(0), 10), Some(0));
        lag.saw_end(8, 3_600_000);
        assert_eq!(lag.lag_ms(5, Some(1), 3_600_500), Some(500));
        lag.saw_end(9, 3_601_000);
        assert_eq!(lag.lag_ms(8, Some(3_600_000), 3_601_500), Some(500));
    }

    #[test]
    fn a_backlog_is_as_old_as_its_records() {
        let mut lag = LagClock::default();
        lag.saw_end(1_000, 500_000);
        assert_eq!(lag.lag_ms(10, Some(400_000), 500_000), Some(100_000));
    }

    #[test]
    fn truncation_starts_anew_and_memory_is_bounded() {
        let mut lag = LagClock::default();
        for step in 0..1_000 {
            lag.saw_end(step, step);
        }
        assert!(lag.ends.len() <= REMEMBERED);
        assert_eq!(lag.lag_ms(0, None, 1_000).map(|ms| ms >= 900), Some(true), "the oldest sight is kept");
        lag.saw_end(3, 2_000);
        assert_eq!(lag.lag_ms(2, None, 2_100), Some(100));
    }
}
