//! When a position is saved: seldom enough to cost nothing, often enough that little is read back after a crash.

use std::time::Duration;

use super::io::Reached;

/// Acknowledged bytes after which a position is saved before its time: bounds the tail that a restart reads back.
const BYTES_BETWEEN_SAVES: u64 = 64 * 1024 * 1024;

/// What is durable, what is being made durable, and when the next is due.
#[derive(Debug)]
pub(super) struct Saver {
    interval: Duration,
    durable: Option<(Reached, bool)>,
    asked: Option<(Reached, bool)>,
    /// What was asked for names an older source, target or fingerprint than those of the last resolution.
    outdated: bool,
    last_asked: Option<Duration>,
    bytes: u64,
    retry_at: Option<Duration>,
}

impl Saver {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            durable: None,
            asked: None,
            outdated: false,
            last_asked: None,
            bytes: 0,
            retry_at: None,
        }
    }

    /// Counts acknowledged bytes.
    pub(super) fn acknowledged(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// The store was found to hold this when the partition started.
    pub(super) fn found(&mut self, reached: Reached) {
        self.durable = Some((reached, false));
    }

    /// What is stored, and what is being stored, names something else than the last resolution found.
    pub(super) fn outdate(&mut self) {
        self.durable = None;
        self.outdated = self.asked.is_some();
    }

    /// Whether exactly this is durable.
    pub(super) fn holds(&self, reached: &Reached, clean: bool) -> bool {
        self.durable == Some((*reached, clean)) && self.asked.is_none()
    }

    /// Whether a save is under way or put off after a failure.
    pub(super) fn is_busy(&self, now: Duration) -> bool {
        self.asked.is_some() || self.retry_at.is_some_and(|at| now < at)
    }

    /// Whether the cadence asks for a save now.
    pub(super) fn is_due(&self, now: Duration, reached: &Reached) -> bool {
        !self.is_busy(now)
            && self.durable != Some((*reached, false))
            && (self.bytes >= BYTES_BETWEEN_SAVES || self.next_at().is_none_or(|at| now >= at))
    }

    /// When a save is due; `None` when all is durable or under way. `urgent` ones don't keep to the interval.
    pub(super) fn deadline(&self, reached: &Reached, clean: bool, urgent: bool) -> Option<Duration> {
        if self.asked.is_some() || self.durable == Some((*reached, clean)) {
            return None;
        }
        let next_at = if urgent { None } else { self.next_at() };
        Some(self.retry_at.max(next_at).unwrap_or_default())
    }

    /// Notes that a save is asked for.
    pub(super) fn asked(&mut self, now: Duration, reached: Reached, clean: bool) {
        self.asked = Some((reached, clean));
        self.last_asked = Some(now);
        self.retry_at = None;
        self.bytes = 0;
    }

    /// The save that was asked for is durable; false when none was.
    pub(super) fn saved(&mut self) -> bool {
        let asked = self.asked.take();
        if !std::mem::take(&mut self.outdated) {
            self.durable = asked.or(self.durable);
        }
        asked.is_some()
    }

    /// The save that was asked for is not durable, or nobody knows; false when none was asked for.
    pub(super) fn failed(&mut self, retry_at: Duration) -> bool {
        let asked = self.asked.take().is_some();
        if asked {
            // It may have been stored all the same: what is durable is not known any more.
            self.durable = None;
            self.outdated = false;
            self.retry_at = Some(retry_at);
        }
        asked
    }

    fn next_at(&self) -> Option<Duration> {
        self.last_asked.map(|at| at + self.interval)
    }
}
