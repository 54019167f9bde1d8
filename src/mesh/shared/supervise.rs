//! Restarts: how long to wait, and how many at once.

use std::time::Duration;

use ractor::{ActorId, ActorProcessingErr, SupervisionEvent};
use rand::Rng;

/// First pause before a restart.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: a fault that a person mends is noticed within a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What lived this long did what it is there for.
const SUCCESS: Duration = Duration::from_secs(60);
/// Restarts that may run at once in the process, so that an outage does not end in a stampede.
pub(crate) const RESTARTS_AT_ONCE: usize = 16;

/// Exponential back-off with jitter, 1 s to 60 s.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// The next pause: doubled at each call, and shortened at random by up to a quarter so that many do not
    /// come back at once.
    fn next_pause(&mut self) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.attempt.min(6)).min(LONGEST_PAUSE);
        self.attempt = self.attempt.saturating_add(1);
        doubled.mul_f64(rand::rng().random_range(0.75..=1.0))
    }

    /// The next pause after a life of this length: one of more than a minute counts as success, and the pause is the
    /// first one again.
    pub(crate) fn pause_after(&mut self, lived: Duration) -> Duration {
        if lived >= SUCCESS {
            self.attempt = 0;
        }
        self.next_pause()
    }
}

/// Which child ended, and of what if it failed; `None` for an event that ends nobody.
pub(crate) fn ended(event: SupervisionEvent) -> Option<(ActorId, Option<ActorProcessingErr>)> {
    match event {
        SupervisionEvent::ActorTerminated(actor, ..) => Some((actor.get_id(), None)),
        SupervisionEvent::ActorFailed(actor, failure) => Some((actor.get_id(), Some(failure))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_start_again_after_success() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..10).map(|_| backoff.next_pause()).collect();
        for (index, pause) in pauses.iter().enumerate() {
            let full = Duration::from_secs((1u64 << index).min(60));
            assert!(*pause <= full && *pause >= full.mul_f64(0.75), "pause {index} is {pause:?}");
        }
        assert!(backoff.pause_after(SUCCESS / 2) > FIRST_PAUSE);
        assert!(backoff.pause_after(SUCCESS) <= FIRST_PAUSE);
    }
}
