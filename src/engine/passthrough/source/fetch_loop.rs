//! A loop: one connection to one broker, one fetch session, and the lanes that are read over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, error::TryRecvError};
use tokio::time::{Instant, sleep_until};

use super::SourceSpec;
use super::reader::{Reader, Returned, Why};
use super::request_size::{LARGEST_BYTES, LEAST_BYTES, RequestSize};
use super::router::RouterOrder;
use super::table::{Table, max_bytes};
use crate::engine::LaneId;
use crate::engine::budget::{Account, FreedSubscription, Permit};
use crate::engine::passthrough::round_trip::WIDENED_FROM;
use crate::model::Isolation;
use crate::wire::{Link, WireError};

/// How long a broker may wait for the first record; Kafka's `fetch.max.wait.ms`.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// The same while lanes come and go: a newcomer waits behind the request under way.
const BUSY_WAIT: Duration = Duration::from_millis(50);
/// The same while lanes wait for credit, which comes back any moment.
const HUNGRY_WAIT: Duration = Duration::from_millis(20);
/// For how long after a change lanes are expected to come and go.
const UNREST: Duration = Duration::from_secs(5);
/// Without lanes for this long the connection is closed.
const UNUSED: Duration = Duration::from_secs(60);
/// How often lanes are looked at that read from a replica.
const SWEEP: Duration = Duration::from_secs(30);
/// From this version on a request carries the rack (KIP-392).
const RACK_SINCE: i16 = 11;
/// Most connections to one broker, unless the number of lanes asks for more.
pub(super) const MOST_LOOPS: usize = 4;
/// So many full responses in a row at the largest size say that one connection doesn't fill the link.
const FULL_ROUNDS: u32 = 6;

/// What a loop is told.
pub(super) enum LoopMsg {
    /// Read a lane, in place of an older fetch of it.
    Add(Reader),
    /// Stop reading a lane.
    Remove(LaneId),
}

/// A loop.
pub(super) struct FetchLoop {
    pub(super) spec: Arc<SourceSpec>,
    pub(super) broker: i32,
    /// Which of the broker's loops this is, and how many there are.
    pub(super) slot: usize,
    pub(super) slots: Arc<AtomicUsize>,
    pub(super) router: UnboundedSender<RouterOrder>,
    pub(super) table: Table,
    pub(super) request_size: RequestSize,
    inbox: UnboundedReceiver<LoopMsg>,
    freed: Arc<Freed>,
    _subscription: FreedSubscription,
    /// Holds what a request may bring until the lanes take it over.
    account: Account,
    link: Option<Link>,
    failures: u32,
    pause_until: Option<Instant>,
    changed: Instant,
    swept: Instant,
    /// Lanes with data in the answer at hand; kept for its memory.
    pub(super) touched: Vec<(kafka_protocol::messages::TopicName, i32)>,
}

#[derive(Default)]
struct Freed {
    flag: AtomicBool,
    notify: Notify,
}

impl FetchLoop {
    pub(super) fn new(
        spec: Arc<SourceSpec>,
        (broker, slot): (i32, usize),
        slots: Arc<AtomicUsize>,
        router: UnboundedSender<RouterOrder>,
        inbox: UnboundedReceiver<LoopMsg>,
    ) -> Self {
        let account = spec.account.child();
        let freed = Arc::new(Freed::default());
        let told = freed.clone();
        let subscription = account.on_freed(Arc::new(move || {
            told.flag.store(true, Ordering::Release);
            told.notify.notify_one();
        }));
        let table = Table::new(spec.round_trips.ahead_bytes());
        let now = Instant::now();
        Self {
            request_size: RequestSize::new(account.budget_bytes()),
            spec,
            broker,
            slot,
            slots,
            router,
            table,
            inbox,
            freed,
            _subscription: subscription,
            account,
            link: None,
            failures: 0,
            pause_until: None,
            changed: now,
            swept: now,
            touched: Vec::new(),
        }
    }

    /// Runs until the router is gone.
    pub(super) async fn run(mut self) {
        while self.take_messages() {
            if self.freed.flag.swap(false, Ordering::Acquire) && self.table.feed() {
                self.changed = Instant::now();
            }
            self.sweep();
            if self.table.session.is_empty() || self.pause_until.is_some_and(|until| Instant::now() < until) {
                if !self.wait().await {
                    return;
                }
                continue;
            }
            self.pause_until = None;
            if !self.connect().await {
                continue;
            }
            let Some(reserved) = self.reserve() else {
                if !self.wait().await {
                    return;
                }
                continue;
            };
            self.fetch(reserved).await;
        }
    }

    /// One request and its answer.
    async fn fetch(&mut self, reserved: Permit) {
        let Some(link) = &self.link else { return };
        let wait = self.patience();
        let (table, spec) = (&mut self.table, &self.spec);
        let build = |version| request(table, spec, version, wait, reserved.bytes());
        let asked = Instant::now();
        match link.fetch(wait, build).await {
            Ok((_, answer)) => {
                self.spec.round_trips.source_answered(asked.elapsed());
                self.request_size.limit(self.spec.round_trips.request_bytes(LARGEST_BYTES));
                self.table.ahead_bytes = self.spec.round_trips.ahead_bytes();
                self.spec.account.use_spare(self.spec.round_trips.are_long());
                if self.answered(answer, reserved) {
                    self.failures = 0;
                }
                self.widen();
            }
            Err(error) => {
                drop(reserved);
                self.broke(&error);
            }
        }
    }

    /// What a request may bring, of the budget; `None` when there is no room.
    fn reserve(&self) -> Option<Permit> {
        let reserved = self
            .account
            .try_reserve_share(LEAST_BYTES.min(self.request_size.bytes()), self.request_size.bytes());
        if reserved.is_none() && self.table.behind() == 0 {
            self.account.stop_waiting();
        }
        reserved
    }

    fn patience(&self) -> Duration {
        if self.table.has_hungry() {
            HUNGRY_WAIT
        } else if self.changed.elapsed() < UNREST {
            BUSY_WAIT
        } else {
            IDLE_WAIT
        }
    }

    /// Takes what the router says; false when it is gone.
    fn take_messages(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(message) => self.take(message),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, message: LoopMsg) {
        self.changed = Instant::now();
        match message {
            LoopMsg::Add(reader) => self.table.add(reader, &self.request_size),
            LoopMsg::Remove(lane) => drop(self.table.take(&lane)),
        }
    }

    /// Waits until there may be something to do; false when the router is gone.
    async fn wait(&mut self) -> bool {
        let unused = Instant::now() + UNUSED;
        let until = self.pause_until.filter(|until| Instant::now() < *until).unwrap_or(unused);
        tokio::select! {
            message = self.inbox.recv() => match message {
                Some(message) => self.take(message),
                None => return false,
            },
            () = self.freed.notify.notified() => {}
            () = sleep_until(until) => {
                if until == unused && self.table.is_empty() {
                    self.link = None;
                    self.table.session.lost();
                }
            }
        }
        true
    }

    /// Makes sure that there is a connection. When there can't be one, the lanes go back to the router, which
    /// may know a better place.
    async fn connect(&mut self) -> bool {
        if self.link.as_ref().is_some_and(Link::is_usable) {
            return true;
        }
        self.link = None;
        self.table.session.lost();
        match self.spec.wire.link(self.broker).await {
            Ok(link) => {
                tracing::debug!(target: crate::engine::LOG, flow = %self.spec.flow, broker = self.broker, slot = self.slot,
                    address = link.broker(), "fetching over a new connection");
                self.spec.round_trips.source_answered(link.round_trip());
                self.link = Some(link);
                true
            }
            Err(error) => {
                // Nothing else was tried over this broker: its lanes are to be looked for elsewhere.
                self.failures = self.failures.max(1);
                self.broke(&error);
                false
            }
        }
    }

    /// The connection, or an answer as a whole, is no good.
    fn broke(&mut self, error: &WireError) {
        self.gave_up(&error.to_string(), error.is_auth_refused());
    }

    /// A failure that isn't one partition's: the first after things went well is mended by a new connection, later
    /// ones send the lanes away.
    pub(super) fn gave_up(&mut self, text: &str, refused: bool) {
        self.link = None;
        self.table.session.lost();
        self.failures = self.failures.saturating_add(1);
        tracing::debug!(target: crate::engine::LOG, flow = %self.spec.flow, broker = self.broker, slot = self.slot, failures = self.failures,
            error = text, lanes = self.table.len(), "fetching failed");
        if self.failures > 1 {
            self.pause_until = Some(Instant::now() + self.spec.wire.reconnect_pause(self.failures - 1));
            let why = Why::Unreachable { text: text.to_owned(), refused };
            let lanes = self.table.take_where(|_| true);
            self.give_back(lanes, &why);
            self.table.session = super::fetch_session::FetchSession::default();
        }
    }

    /// Sends lanes back to the router.
    pub(super) fn give_back(&self, readers: Vec<Reader>, why: &Why) {
        if readers.is_empty() {
            return;
        }
        let returned = readers.into_iter().map(|reader| Returned { reader, why: why.clone() }).collect();
        // The router ends last; without it nobody waits for the lanes.
        let _ = self.router.send(RouterOrder::Back { from: (self.broker, self.slot), returned });
    }

    /// Looks for lanes whose time at a replica is over.
    fn sweep(&mut self) {
        if self.spec.rack.is_none() || self.swept.elapsed() < SWEEP {
            return;
        }
        let now = Instant::now();
        self.swept = now;
        let over = |reader: &Reader| reader.replica.is_some_and(|(_, until)| now >= until);
        let lanes = self.table.take_where(over);
        self.give_back(lanes, &Why::Home);
    }

    /// Hands half of the busy lanes to another connection when this one doesn't fill a long link.
    fn widen(&mut self) {
        let is_long = self.link.as_ref().is_some_and(|link| link.round_trip() >= WIDENED_FROM);
        if self.request_size.full_rounds() < FULL_ROUNDS
            || !is_long
            || self.table.behind() < 2
            || self.slots.load(Ordering::Relaxed) >= MOST_LOOPS
        {
            return;
        }
        self.request_size.restart_count();
        let lanes = self.table.take_half();
        tracing::debug!(target: crate::engine::LOG, flow = %self.spec.flow, broker = self.broker, slot = self.slot, lanes = lanes.len(),
            "handing busy lanes to another connection");
        self.give_back(lanes, &Why::HandOver);
    }
}

fn request(table: &mut Table, spec: &SourceSpec, version: i16, wait: Duration, bytes: u64) -> FetchRequest {
    let asked = table.session.next(version);
    let mut request = FetchRequest::default()
        .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(max_bytes(bytes))
        .with_isolation_level(i8::from(spec.isolation == Isolation::ReadCommitted))
        .with_session_id(asked.session_id)
        .with_session_epoch(asked.session_epoch)
        .with_topics(asked.topics)
        .with_forgotten_topics_data(asked.forgotten);
    if version >= RACK_SINCE
        && let Some(rack) = &spec.rack
    {
        request.rack_id = StrBytes::from_string(rack.clone());
    }
    request
}
