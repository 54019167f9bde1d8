//! Brings lanes to the loops of their partitions' leaders, and again when those move.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::SourceSpec;
use super::fetch_loop::{FetchLoop, LoopMsg, MOST_LOOPS};
use super::reader::{REPLICA_TIME, Reader, Returned, Why};
use crate::engine::panic::panic_text;
use crate::engine::passthrough::Shared;
use crate::engine::passthrough::lane::Lane;
use crate::engine::{LaneId, SourceError};
use crate::wire::{Leader, ResponseError, WireError};

/// Lanes of a loop from which on another one is started beside it. Brokers look at every partition of a session for
/// each answer, and one that waited for data of nine thousand was seen not to answer at all (Kafka 4.3).
const LANES_PER_LOOP: usize = 2_000;

/// Which loop: the broker, and which of its loops.
type LoopKey = (i32, usize);

/// What the metadata says about partitions that were asked for.
type Learned = Result<Vec<(LaneId, Result<Leader, WireError>)>, WireError>;

/// What the router is told.
pub(super) enum RouterOrder {
    /// Read a lane from an offset on; the epoch is that of the record before.
    Start { lane: Arc<Lane>, fetch: u64, offset: i64, leader_epoch: i32 },
    /// Stop reading a lane.
    Stop(LaneId),
    /// Lanes that can't stay in their loop.
    Back { from: LoopKey, returned: Vec<Returned> },
    /// A fetch has ended by itself; its lane was told.
    Ended { lane: LaneId, fetch: u64 },
    /// What the metadata says.
    Learned { asked: Vec<LaneId>, learned: Learned },
    /// End all loops.
    End,
}

/// Where a fetch is.
enum FetchPlace {
    Loop {
        fetch: u64,
        key: LoopKey,
    },
    /// Waits for its leader to be known; asked for from the instant on.
    Waiting {
        reader: Box<Reader>,
        due: Instant,
    },
}

/// A running loop.
struct Running {
    inbox: UnboundedSender<LoopMsg>,
    lanes: usize,
}

/// The loops of a broker.
#[derive(Default)]
struct Loops {
    running: Vec<Running>,
    count: Arc<AtomicUsize>,
}

/// The router.
pub(super) struct Router {
    spec: Arc<SourceSpec>,
    shared: Arc<Shared>,
    orders: UnboundedReceiver<RouterOrder>,
    myself: UnboundedSender<RouterOrder>,
    places: HashMap<LaneId, FetchPlace>,
    waiting: usize,
    loops: HashMap<i32, Loops>,
    tasks: JoinSet<()>,
    /// A question for leaders is under way.
    asking: bool,
}

impl Router {
    pub(super) fn new(
        spec: SourceSpec,
        shared: Arc<Shared>,
        orders: UnboundedReceiver<RouterOrder>,
        myself: UnboundedSender<RouterOrder>,
    ) -> Self {
        Self {
            spec: Arc::new(spec),
            shared,
            orders,
            myself,
            places: HashMap::new(),
            waiting: 0,
            loops: HashMap::new(),
            tasks: JoinSet::new(),
            asking: false,
        }
    }

    /// Runs until it is told to end.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.next_due();
            tokio::select! {
                order = self.orders.recv() => {
                    // The router holds a sender itself.
                    let Some(order) = order else { return };
                    if !self.take(order) {
                        break;
                    }
                }
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        let panic = error.into_panic();
                        let panic = panic_text(&*panic);
                        self.shared.lose(format!("a fetch loop of flow {} panicked: {panic}", self.spec.flow), || {});
                    }
                    continue;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            while let Ok(order) = self.orders.try_recv() {
                if !self.take(order) {
                    self.tasks.shutdown().await;
                    return;
                }
            }
            self.ask();
        }
        self.tasks.shutdown().await;
    }

    /// Carries an order out; false for the last one.
    fn take(&mut self, order: RouterOrder) -> bool {
        match order {
            RouterOrder::Start { lane, fetch, offset, leader_epoch } => {
                self.remove(&lane.id);
                let reader = Reader::new(lane, fetch, offset, leader_epoch);
                self.route(reader, None);
            }
            RouterOrder::Stop(lane) => self.remove(&lane),
            RouterOrder::Back { from, returned } => {
                for Returned { reader, why } in returned {
                    if self.left(&reader.lane.id, reader.fetch) && reader.is_current() {
                        self.came_back(from, reader, why);
                    }
                }
            }
            RouterOrder::Ended { lane, fetch } => _ = self.left(&lane, fetch),
            RouterOrder::Learned { asked, learned } => {
                self.asking = false;
                self.learned(asked, learned);
            }
            RouterOrder::End => return false,
        }
        true
    }

    /// Forgets a lane, and has its loop forget it.
    fn remove(&mut self, lane: &LaneId) {
        match self.places.remove(lane) {
            Some(FetchPlace::Loop { key, .. }) => {
                if let Some(running) = self.running(key) {
                    running.lanes -= 1;
                    // A loop ends only with the router, or by a panic that ends the session.
                    let _ = running.inbox.send(LoopMsg::Remove(lane.clone()));
                }
            }
            Some(FetchPlace::Waiting { .. }) => self.waiting -= 1,
            None => {}
        }
    }

    /// A fetch is not in its loop any more; false when the lane went on to another fetch meanwhile.
    fn left(&mut self, lane: &LaneId, fetch: u64) -> bool {
        let key = match self.places.get(lane) {
            Some(FetchPlace::Loop { fetch: current, key }) if *current == fetch => *key,
            _ => return false,
        };
        self.places.remove(lane);
        if let Some(running) = self.running(key) {
            running.lanes -= 1;
        }
        true
    }

    fn running(&mut self, (broker, slot): LoopKey) -> Option<&mut Running> {
        self.loops.get_mut(&broker)?.running.get_mut(slot)
    }

    /// Finds a new place for a lane that left its loop.
    fn came_back(&mut self, from: LoopKey, mut reader: Reader, why: Why) {
        let known = self.spec.wire.known_leader(&reader.lane.id);
        let was_in_trouble = reader.is_in_trouble();
        match &why {
            Why::HandOver => return self.route(reader, Some(from)),
            Why::Follow(replica) => {
                reader.replica = Some((*replica, Instant::now() + REPLICA_TIME));
                if !was_in_trouble {
                    return self.route(reader, None);
                }
            }
            Why::Home => {
                let is_due = reader.replica.is_some_and(|(_, until)| Instant::now() >= until);
                reader.replica = None;
                if is_due {
                    return self.route(reader, None);
                }
            }
            Why::Moved(_) | Why::Unknown | Why::Unreachable { .. } => {
                reader.replica = None;
                let asked = Leader { broker: from.0, epoch: reader.leader_epoch };
                if known.is_some_and(|known| known != asked) && !was_in_trouble {
                    // Somebody else learned of the new leader.
                    if reader.went_wrong(&why).is_ok() {
                        return self.route(reader, None);
                    }
                }
                if known.is_some_and(|known| known == asked) || was_in_trouble {
                    self.spec.wire.forget_leader(&reader.lane.id.topic);
                }
            }
        }
        self.postpone(reader, &why);
    }

    /// Has a lane wait after something went wrong, or ends its fetch.
    fn postpone(&mut self, mut reader: Reader, why: &Why) {
        match reader.went_wrong(why) {
            Ok(pause) => self.wait(reader, pause),
            Err(error) => reader.fail(error),
        }
    }

    fn wait(&mut self, reader: Reader, pause: Duration) {
        let place = FetchPlace::Waiting { due: Instant::now() + pause, reader: Box::new(reader) };
        let lane = match &place {
            FetchPlace::Waiting { reader, .. } => reader.lane.id.clone(),
            FetchPlace::Loop { .. } => return,
        };
        self.waiting += 1;
        self.places.insert(lane, place);
    }

    /// Brings a lane to a loop if it is known who serves it.
    fn route(&mut self, mut reader: Reader, other_than: Option<LoopKey>) {
        let Some(leader) = self.spec.wire.known_leader(&reader.lane.id) else {
            return self.wait(reader, Duration::ZERO);
        };
        reader.leader_epoch = leader.epoch;
        let broker = reader.replica.map_or(leader.broker, |(replica, _)| replica);
        let key = (broker, self.choose(broker, other_than));
        let (lane, fetch) = (reader.lane.id.clone(), reader.fetch);
        tracing::trace!(target: crate::engine::LOG, flow = %self.spec.flow, %lane, fetch, broker, slot = key.1, offset = reader.next, "routed");
        if let Some(running) = self.running(key) {
            running.lanes += 1;
            // A loop ends only with the router, or by a panic that ends the session.
            let _ = running.inbox.send(LoopMsg::Add(reader));
        }
        self.places.insert(lane, FetchPlace::Loop { fetch, key });
    }

    /// The loop of a broker with the fewest lanes, or another one where that has many. A loop that hands lanes over gets another one beside it, if there
    /// may be more.
    fn choose(&mut self, broker: i32, other_than: Option<LoopKey>) -> usize {
        let from = other_than.filter(|(other, _)| *other == broker).map(|(_, slot)| slot);
        let loops = self.loops.entry(broker).or_default();
        let least = (loops.running.iter().enumerate())
            .filter(|(slot, _)| Some(*slot) != from)
            .min_by_key(|(_, running)| running.lanes)
            .map(|(slot, running)| (slot, running.lanes));
        let full = least.is_some_and(|(_, lanes)| lanes >= LANES_PER_LOOP);
        let from_lanes = from.and_then(|slot| loops.running.get(slot)).map_or(0, |running| running.lanes);
        match least {
            Some((slot, lanes))
                if !full && (from.is_none() || lanes < from_lanes || loops.running.len() >= MOST_LOOPS) =>
            {
                slot
            }
            _ => {
                let slot = loops.running.len();
                let (inbox, messages) = unbounded_channel();
                loops.running.push(Running { inbox, lanes: 0 });
                loops.count.store(loops.running.len(), Ordering::Relaxed);
                let key = (broker, slot);
                let (spec, count, router) = (self.spec.clone(), loops.count.clone(), self.myself.clone());
                self.tasks.spawn(FetchLoop::new(spec, key, count, router, messages).run());
                slot
            }
        }
    }

    /// When the next waiting lane is due; `None` while a question is under way.
    fn next_due(&self) -> Option<Instant> {
        if self.waiting == 0 || self.asking {
            return None;
        }
        let due = |place: &FetchPlace| match place {
            FetchPlace::Waiting { due, .. } => Some(*due),
            FetchPlace::Loop { .. } => None,
        };
        self.places.values().filter_map(due).min()
    }

    /// Asks for the leaders of the lanes that are due, all in one request.
    fn ask(&mut self) {
        if self.waiting == 0 || self.asking {
            return;
        }
        let now = Instant::now();
        let is_due = |place: &FetchPlace| matches!(place, FetchPlace::Waiting { due, .. } if *due <= now);
        let asked: Vec<_> =
            self.places.iter().filter(|(_, place)| is_due(place)).map(|(lane, _)| lane.clone()).collect();
        if asked.is_empty() {
            return;
        }
        self.asking = true;
        let (wire, router) = (self.spec.wire.clone(), self.myself.clone());
        self.tasks.spawn(async move {
            let learned = wire.learn_leaders(&asked).await;
            // The router ends last.
            let _ = router.send(RouterOrder::Learned { asked, learned });
        });
    }

    fn learned(&mut self, asked: Vec<LaneId>, learned: Learned) {
        let answers = match learned {
            Ok(answers) => answers,
            Err(error) => {
                let same = |lane| (lane, Err(error.clone()));
                asked.into_iter().map(same).collect()
            }
        };
        for (lane, answer) in answers {
            let Some(FetchPlace::Waiting { .. }) = self.places.get(&lane) else { continue };
            let Some(FetchPlace::Waiting { reader, .. }) = self.places.remove(&lane) else { continue };
            self.waiting -= 1;
            match answer {
                Ok(_) => self.route(*reader, None),
                Err(error) if error.is_unauthorized() => {
                    reader.fail(SourceError::Unauthorized(error.to_string()));
                }
                Err(error) => self.postpone(*reader, &why_not(&error)),
            }
        }
    }
}

/// What it means that a partition's leader isn't known.
fn why_not(error: &WireError) -> Why {
    if error.is_unknown_topic() {
        Why::Unknown
    } else if let Some(code) = error.code() {
        Why::Moved(code)
    } else if error.is_unreachable() || error.is_auth_refused() || !error.is_retriable() {
        Why::Unreachable { text: error.to_string(), refused: !error.is_retriable() }
    } else {
        Why::Moved(ResponseError::LeaderNotAvailable)
    }
}
