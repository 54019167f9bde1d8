//! How often and how long a call is tried.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::WireError;
use crate::config::client::ClientSettings;

/// First pause between two tries; Kafka's `retry.backoff.ms`.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries; Kafka's `retry.backoff.max.ms`.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The tries of one call.
#[derive(Debug)]
pub(crate) struct Retry {
    started: Instant,
    tries: u32,
    /// For how long it is tried again.
    patience: Duration,
    /// For everything together.
    limit: Duration,
    /// While the broker can't be reached: whoever asks wants to know soon.
    unreachable_limit: Duration,
}

impl Retry {
    pub(super) fn new(settings: &ClientSettings) -> Self {
        Self {
            started: Instant::now(),
            tries: 0,
            patience: settings.request_timeout,
            limit: settings.request_timeout,
            unreachable_limit: settings.connect_timeout.min(settings.request_timeout),
        }
    }

    /// Tries that end sooner: none is made after `patience`, though the one under way has its whole time. With zero
    /// there is one try.
    pub(super) fn within(settings: &ClientSettings, patience: Duration) -> Self {
        Self { patience: patience.min(settings.request_timeout), ..Self::new(settings) }
    }

    /// Time left for the call.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// Time a broker may take for work of its own (`timeout_ms` in requests): it should give up before we do, so
    /// that its answer tells what happened.
    pub(super) fn left_for_broker_ms(&self) -> i32 {
        i32::try_from(self.left().mul_f64(0.8).as_millis()).unwrap_or(i32::MAX).max(1)
    }

    /// Pauses before the next try, or gives the error back when there is to be none.
    pub(crate) async fn pause_after(&mut self, error: WireError) -> Result<(), WireError> {
        if !error.is_worth_another_try() {
            return Err(error);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        let pause = pause.mul_f64(rand::random_range(0.8..=1.2));
        let limit = if error.is_unreachable() { self.unreachable_limit } else { self.limit };
        let limit = limit.min(self.patience);
        // The next try needs some time of its own: one cut short would cost the connection.
        if self.started.elapsed() + pause >= limit.mul_f64(0.9) {
            return Err(error);
        }
        self.tries += 1;
        tracing::debug!(target: crate::wire::LOG, %error, ?pause, "trying again");
        sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireErrorKind;
    use crate::wire::testing::settings;
    use kafka_protocol::error::ResponseError;

    async fn tries(error: WireError) -> (u32, Duration) {
        let mut retry = Retry::new(&settings("127.0.0.1:1"));
        let started = Instant::now();
        let mut tries = 1;
        while retry.pause_after(error.clone()).await.is_ok() {
            tries += 1;
        }
        (tries, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_until_the_request_timeout() {
        let error = WireError::refused(&"east".into(), ResponseError::NotLeaderOrFollower, None);
        let (tries, took) = tries(error).await;
        assert!(tries > 5, "{tries}");
        assert!(took > Duration::from_secs(7) && took <= Duration::from_secs(10), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreachable_broker_is_told_within_the_connect_timeout() {
        let (tries, took) =
            tries(WireError::new(&"east".into(), WireErrorKind::Connect("refused".into()))).await;
        assert!(tries > 2, "{tries}");
        assert!(took <= Duration::from_secs(3), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_the_tries_and_not_the_one_under_way() {
        let error = WireError::refused(&"east".into(), ResponseError::NotLeaderOrFollower, None);
        for (patience, most) in [(Duration::ZERO, 0), (Duration::from_secs(2), 5), (Duration::MAX, 50)] {
            let mut retry = Retry::within(&settings("127.0.0.1:1"), patience);
            let (started, mut again) = (Instant::now(), 0);
            while retry.pause_after(error.clone()).await.is_ok() {
                again += 1;
            }
            assert!(again <= most && (again > 0) == (most > 0), "{again} times within {patience:?}");
            assert!(started.elapsed() <= patience && started.elapsed() < Duration::from_secs(10));
            assert!(retry.left() > Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_is_tried_once() {
        let refused = WireError::refused(&"east".into(), ResponseError::TopicAuthorizationFailed, None);
        let settled =
            WireError::refused(&"east".into(), ResponseError::UnknownTopicOrPartition, None).settle();
        for error in [refused, settled] {
            assert_eq!(tries(error).await, (1, Duration::ZERO));
        }
    }
}
