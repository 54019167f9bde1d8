//! That a cluster throttles us (KIP-124): told once when it begins and once when it is over, and counted.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::model::Alias;

/// When nothing was held back for so long, it is over. Quotas count over 11 s unless a broker is told otherwise
/// (`quota.window.num`, `quota.window.size.seconds`), so a load that goes on meets them again well before.
const OVER: Duration = Duration::from_secs(60);

/// What one cluster holds back, by call.
#[derive(Debug, Default)]
pub(super) struct Throttling(Mutex<BTreeMap<&'static str, Throttled>>);

#[derive(Debug, Default)]
struct Throttled {
    total: Duration,
    /// While it lasts: until when the latest answer held us back.
    until: Option<Instant>,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Begun,
    Over,
    None,
}

impl Throttling {
    /// Notes for how long an answer asks for quiet; zero if it doesn't.
    pub(super) fn answered(&self, cluster: &Alias, broker: &str, call: &'static str, quiet: Duration) {
        match self.note(call, quiet, Instant::now()) {
            Change::Begun => tracing::warn!(target: crate::wire::LOG, %cluster, broker, call, ?quiet,
                advice = "raise the quota if the lag grows; a batch larger than it allows in its window never comes",
                "the cluster throttles us: a quota of our user or client id is used up"),
            Change::Over => {
                tracing::info!(target: crate::wire::LOG, %cluster, call, "the cluster throttles us no longer")
            }
            Change::None => {}
        }
    }

    fn note(&self, call: &'static str, quiet: Duration, now: Instant) -> Change {
        let mut calls = self.0.lock();
        if quiet.is_zero() {
            let ended = |until: &mut Instant| now.saturating_duration_since(*until) > OVER;
            let over = calls.get_mut(call).and_then(|throttled| throttled.until.take_if(ended));
            return over.map_or(Change::None, |_| Change::Over);
        }
        let throttled = calls.entry(call).or_default();
        throttled.total += quiet;
        let begun = throttled.until.is_none();
        throttled.until = throttled.until.max(Some(now + quiet));
        if begun { Change::Begun } else { Change::None }
    }

    /// Whether a call is being throttled: it was not long ago.
    pub(super) fn lasts(&self, call: &str) -> bool {
        self.lasts_at(call, Instant::now())
    }

    fn lasts_at(&self, call: &str, now: Instant) -> bool {
        let until = self.0.lock().get(call).and_then(|throttled| throttled.until);
        until.is_some_and(|until| now.saturating_duration_since(until) <= OVER)
    }

    /// For how long connections were to keep quiet, all together, by call; calls that never were are left out.
    pub(super) fn totals(&self) -> BTreeMap<&'static str, Duration> {
        self.0.lock().iter().map(|(call, throttled)| (*call, throttled.total)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_is_told_when_it_begins_and_when_it_is_over() {
        let (throttling, start) = (Throttling::default(), Instant::now());
        let second = Duration::from_secs(1);
        let note = |call, quiet, at| throttling.note(call, quiet, start + at);
        assert_eq!(note("Fetch", Duration::ZERO, Duration::ZERO), Change::None);
        assert_eq!(throttling.totals(), BTreeMap::new());
        assert_eq!(note("Fetch", 2 * second, Duration::ZERO), Change::Begun);
        assert_eq!(note("Fetch", second, second), Change::None, "it goes on");
        assert_eq!(note("Produce", second, second), Change::Begun, "each call for itself");
        assert!(!throttling.lasts_at("Metadata", start));
        assert!(throttling.lasts_at("Fetch", start + OVER + 2 * second), "answers stay out");
        assert!(!throttling.lasts_at("Fetch", start + OVER + 3 * second), "for too long");
        assert_eq!(note("Fetch", Duration::ZERO, OVER + 2 * second), Change::None, "it may come back");
        assert_eq!(note("Fetch", Duration::ZERO, OVER + 3 * second), Change::Over);
        assert_eq!(note("Fetch", Duration::ZERO, OVER + 4 * second), Change::None, "told once");
        assert_eq!(note("Fetch", second, OVER + 5 * second), Change::Begun, "and again");
        assert_eq!(throttling.totals(), BTreeMap::from([("Fetch", 4 * second), ("Produce", second)]));
    }
}
