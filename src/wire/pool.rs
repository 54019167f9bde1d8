//! Connections to the brokers of one cluster: made when they are needed, one per broker and purpose.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::buffers::Buffers;
use super::connection::Connection;
use super::dial::{Address, Dialer, reconnect_pause};
use super::error::{WireError, WireErrorKind};
use super::throttling::Throttling;
use crate::config::client::ClientSettings;
use crate::model::Alias;

/// How long one bootstrap server is waited for before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(500);

/// What a connection is for. A broker answers the requests of a connection one after the other: a fetch that waits
/// for records, or a write that waits for replicas, would keep look-ups waiting behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Look-ups and administration.
    Admin,
    /// Reading records.
    Fetch,
    /// Writing records.
    Produce,
    /// Committing offsets: several connections, by number, since each commit waits for replicas.
    Commit(u8),
}

/// Where a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// Whichever broker answers first.
    Any,
    /// The broker with this id.
    Broker(i32),
}

/// The connections of one cluster.
pub(super) struct Pool {
    cluster: Alias,
    settings: ClientSettings,
    dialer: Dialer,
    slots: Mutex<HashMap<(Target, Purpose), Arc<Slot>>>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Slot {
    live: Mutex<Option<Arc<Connection>>>,
    /// Held while connecting, so that callers share one attempt.
    attempts: tokio::sync::Mutex<Attempts>,
}

#[derive(Default)]
struct Attempts {
    failures: u32,
    /// After a failure: when to try again, and what to say until then.
    pause: Option<(Instant, WireError)>,
}

impl Pool {
    /// An empty pool; reads certificates and keys.
    pub(super) fn new(cluster: &Alias, settings: &ClientSettings) -> Result<Self, WireError> {
        Ok(Self {
            cluster: cluster.clone(),
            dialer: Dialer::new(cluster, settings)?,
            settings: settings.clone(),
            slots: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// A usable connection to one of the addresses, made if there is none.
    ///
    /// During the pause after a failed attempt the same error is told at once. Cancel safe.
    pub(super) async fn get(
        &self,
        target: Target,
        purpose: Purpose,
        addresses: &[Address],
    ) -> Result<Arc<Connection>, WireError> {
        let slot = self.slots.lock().entry((target, purpose)).or_default().clone();
        if let Some(connection) = slot.usable(target, addresses) {
            return Ok(connection);
        }
        let mut attempts = slot.attempts.lock().await;
        if let Some(connection) = slot.usable(target, addresses) {
            return Ok(connection);
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(WireError::new(&self.cluster, WireErrorKind::Closed));
        }
        if let Some((until, error)) = &attempts.pause
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        match self.dial_first(addresses).await {
            Ok(connection) => {
                *attempts = Attempts::default();
                let connection = Arc::new(connection);
                *slot.live.lock() = Some(connection.clone());
                if self.closed.load(Ordering::Acquire) {
                    connection.close();
                }
                Ok(connection)
            }
            Err(error) => {
                attempts.failures = attempts.failures.saturating_add(1);
                let pause = reconnect_pause(&self.settings, attempts.failures);
                tracing::debug!(target: crate::wire::LOG, cluster = %self.cluster, %error, ?pause, "can't connect");
                attempts.pause = Some((Instant::now() + pause, error.clone()));
                Err(error)
            }
        }
    }

    /// A connection of the caller's own, in no slot.
    pub(super) async fn dial(&self, address: &Address) -> Result<Connection, WireError> {
        let closed = || match self.closed.load(Ordering::Acquire) {
            true => Err(WireError::new(&self.cluster, WireErrorKind::Closed)),
            false => Ok(()),
        };
        closed()?;
        let connection = self.dialer.dial(address).await?;
        closed()?;
        Ok(connection)
    }

    /// How long a pause before the next attempt after so many failed ones.
    pub(super) fn reconnect_pause(&self, failures: u32) -> Duration {
        reconnect_pause(&self.settings, failures)
    }

    /// Where the connections get memory for large answers.
    pub(super) fn buffers(&self) -> &Buffers {
        self.dialer.buffers()
    }

    /// What the cluster held back so far.
    pub(super) fn throttling(&self) -> &Throttling {
        self.dialer.throttling()
    }

    /// A connection for look-ups that is open already, to whichever broker.
    pub(super) fn any_open(&self) -> Option<Arc<Connection>> {
        let slots = self.slots.lock();
        let open = |target: &Target| {
            let slot = slots.get(&(*target, Purpose::Admin))?;
            slot.live.lock().clone().filter(|connection| connection.is_usable())
        };
        // The same broker as long as it is there: its view of the cluster never goes back.
        open(&Target::Any).or_else(|| slots.keys().find_map(|(target, _)| open(target)))
    }

    /// Ends all connections, and makes no more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for slot in self.slots.lock().values() {
            if let Some(connection) = slot.live.lock().take() {
                connection.close();
            }
        }
    }

    /// Connects to the address that answers first; the next one is tried when one fails or takes its time.
    async fn dial_first(&self, addresses: &[Address]) -> Result<Connection, WireError> {
        let mut waiting = addresses.iter();
        let mut under_way = FuturesUnordered::new();
        let mut failed: Option<WireError> = None;
        loop {
            if let Some(address) = waiting.next() {
                under_way.push(self.dialer.dial(address));
            }
            let answer = tokio::select! {
                answer = under_way.next() => answer,
                () = sleep(STAGGER), if waiting.len() > 0 => continue,
            };
            match answer {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(error)) => failed = Some(worse(failed, error)),
                None if waiting.len() > 0 => {}
                None => break,
            }
        }
        Err(failed.unwrap_or_else(|| {
            let detail = "no broker is known".to_owned();
            WireError::new(&self.cluster, WireErrorKind::Connect(detail))
        }))
    }
}

impl Slot {
    fn usable(&self, target: Target, addresses: &[Address]) -> Option<Arc<Connection>> {
        let live = self.live.lock().clone()?;
        // A broker that moved to another address is connected to anew.
        let current =
            target == Target::Any || addresses.iter().any(|address| address.to_string() == live.broker());
        (current && live.is_usable()).then_some(live)
    }
}

/// Of two failures the one that tells more: a refusal is worth more than silence.
fn worse(earlier: Option<WireError>, later: WireError) -> WireError {
    match earlier {
        Some(earlier) if earlier.is_auth_refused() || !later.is_auth_refused() => earlier,
        _ => later,
    }
}
