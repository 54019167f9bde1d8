//! When a client that finds no broker is given up.
//!
//! librdkafka reconnects by itself, so a client without a broker is no news while its cluster is away. But one of 2.12
//! was seen to lose all its brokers, the bootstrap servers included, and to stay without (`docs/records.md`). From outside
//! that shows in one way: the cluster answers somebody else, check after check, and the client has nobody to ask.

use std::time::Duration;

use crate::config::client::ClientSettings;

/// Time from one check to the next. A check costs a request for one topic per client.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// Checks without a broker in a row, at least: with Kafka's settings a client that can reconnect tries twice meanwhile.
const LEAST_CHECKS: u32 = 3;
/// As many times longer is a client waited for that never had a broker: credentials or certificates that only
/// librdkafka refuses are likelier then, and a new session would change nothing about them.
const NEVER_MET: u32 = 10;

/// What a check saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The client is connected to a broker.
    Broker,
    /// It is not, and the cluster doesn't answer our own connection either.
    Away,
    /// It is not, but the cluster answers our own connection.
    Alone,
}

/// What became of one client, check by check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// Checks in a row after which a client that has had a broker is given up.
    checks: u32,
    met: bool,
    alone: u32,
}

impl Patience {
    /// Watches a client that was just built.
    pub(super) fn new(settings: &ClientSettings) -> Self {
        // An attempt may wait for all of its time, and librdkafka stretches a pause by up to a half.
        let attempt = settings.connect_timeout + settings.reconnect_backoff_max * 3 / 2;
        let pauses = attempt.as_millis().div_ceil(EVERY.as_millis());
        let checks = u32::try_from(pauses + 1).unwrap_or(u32::MAX).max(LEAST_CHECKS);
        Self { checks, met: false, alone: 0 }
    }

    /// Takes what a check saw; true when the client is to be given up.
    pub(super) fn take(&mut self, seen: Seen) -> bool {
        match seen {
            Seen::Broker => (self.met, self.alone) = (true, 0),
            // It has all of its time again once the cluster is back.
            Seen::Away => self.alone = 0,
            Seen::Alone => self.alone += 1,
        }
        self.alone >= if self.met { self.checks } else { self.checks.saturating_mul(NEVER_MET) }
    }

    /// Whether the client has ever had a broker.
    pub(super) fn met(&self) -> bool {
        self.met
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::testing::settings;

    fn patience(connect: Duration, backoff: Duration) -> Patience {
        let mut settings = settings("127.0.0.1:9092");
        (settings.connect_timeout, settings.reconnect_backoff_max) = (connect, backoff);
        Patience::new(&settings)
    }

    #[test]
    fn a_client_that_lost_its_brokers_is_given_up_at_the_third_check() {
        let mut patience = patience(Duration::from_secs(10), Duration::from_secs(1));
        assert!(!patience.take(Seen::Broker));
        assert_eq!([Seen::Alone; 3].map(|seen| patience.take(seen)), [false, false, true]);
    }

    #[test]
    fn a_client_that_never_had_one_is_waited_for_ten_times_longer() {
        let mut patience = patience(Duration::from_secs(10), Duration::from_secs(1));
        let given_up = (1..=30).find(|_| patience.take(Seen::Alone));
        assert_eq!((given_up, patience.met()), (Some(30), false));
    }

    #[test]
    fn slow_attempts_and_long_pauses_are_waited_for() {
        // 60 s for an attempt and up to 90 s until it begins.
        let mut patience = patience(Duration::from_secs(60), Duration::from_secs(60));
        patience.take(Seen::Broker);
        assert_eq!((1..=100).find(|_| patience.take(Seen::Alone)), Some(16));
    }

    proptest! {
        /// Given up means: as many checks in a row found the cluster there and the client without it, and never less.
        #[test]
        fn only_checks_in_a_row_count(
            seen in prop::collection::vec(
                prop_oneof![Just(Seen::Broker), Just(Seen::Away), Just(Seen::Alone), Just(Seen::Alone)],
                1..60,
            ),
        ) {
            let mut patience = patience(Duration::from_secs(10), Duration::from_secs(1));
            patience.take(Seen::Broker);
            for (index, last) in seen.iter().enumerate() {
                let row = seen[..=index].iter().rev().take_while(|seen| **seen == Seen::Alone).count();
                prop_assert_eq!(patience.take(*last), row >= 3);
            }
        }
    }
}
