//! One byte budget for the process: every batch in flight holds a permit of it.
//!
//! The budget is shared by *dynamic thresholds*: who holds much needs much to be free before he gets more. With
//! `free` the bytes nobody holds, a lane that holds something takes more only while it holds less than `free`,
//! and its flow less than twice `free`; a lane that holds nothing is served until its flow holds three times
//! `free`. So a stuck partition leaves half of the budget to others, a stuck flow a quarter, and the step from two
//! to three keeps the other lanes of a flow alive beside stuck ones.
//!
//! A batch larger than what is free passes when its lane holds nothing and the budget isn't already overdrawn:
//! the bytes held never exceed the budget by more than one such batch.
//!
//! A part of the budget may be *spare*: bytes that batches could do without. Only accounts that ask for them get them;
//! to the others, taken together, the budget is that much smaller.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Part of the process's bytes that librdkafka's own queues get, where a flow uses them; else they are spare.
const QUEUE_SHARE: u64 = 4;
/// How many times `free` a flow may hold and still take more for a lane that holds something.
const FLOW_SHARE: u64 = 2;
/// How many times `free` a flow may hold and still take something for a lane that holds nothing.
const FLOW_SHARE_OF_EMPTY_LANE: u64 = 3;

/// Called after bytes were freed that somebody had asked for in vain. It must not block.
pub type FreedHook = Arc<dyn Fn() + Send + Sync>;

/// The bytes that batches may hold in memory.
pub struct Budget {
    root: Arc<Root>,
}

struct Root {
    total: u64,
    /// Bytes of them for accounts that asked for more than the others.
    spare: u64,
    /// What each of librdkafka's clients may queue beside it.
    queue_bytes: u64,
    state: Mutex<BudgetState>,
    freed: Notify,
}

#[derive(Default)]
struct BudgetState {
    used: u64,
    /// Of those, what accounts hold that get nothing of the spare bytes.
    used_without_spare: u64,
    /// Somebody was refused since bytes were freed last.
    wanted: bool,
    hooks: Vec<(u64, FreedHook)>,
    next_hook: u64,
}

impl Root {
    /// Whoever was refused since this was called last is told to try again. Not to be called under the lock.
    fn wake(&self) {
        let hooks = {
            let mut state = self.state.lock();
            if !std::mem::take(&mut state.wanted) {
                return;
            }
            state.hooks.iter().map(|(_, hook)| hook.clone()).collect::<Vec<_>>()
        };
        self.freed.notify_waiters();
        for hook in hooks {
            hook();
        }
    }

    fn on_freed(self: &Arc<Self>, hook: FreedHook) -> FreedSubscription {
        let mut state = self.state.lock();
        let id = state.next_hook;
        state.next_hook += 1;
        state.hooks.push((id, hook));
        FreedSubscription { root: self.clone(), id }
    }
}

impl Budget {
    /// A budget of so many bytes, none of them spare.
    pub fn new(total_bytes: usize) -> Arc<Self> {
        Self::of(total_bytes as u64, 0, 0)
    }

    /// Divides the bytes of a process of which so many flows use the `records` engine. A quarter is for the queues of
    /// librdkafka, which no permit covers. Where no flow has any, batches get it all, that quarter as spare bytes.
    pub fn divided(total_bytes: u64, records_flows: usize) -> Arc<Self> {
        let quarter = total_bytes / QUEUE_SHARE;
        if records_flows == 0 {
            return Self::of(total_bytes, quarter, 0);
        }
        // Each of those flows has a consumer and a producer.
        let clients = (records_flows as u64).saturating_mul(2);
        Self::of(total_bytes - quarter, 0, quarter / clients)
    }

    fn of(total: u64, spare: u64, queue_bytes: u64) -> Arc<Self> {
        let root = Root { total, spare, queue_bytes, state: Mutex::default(), freed: Notify::new() };
        Arc::new(Self { root: Arc::new(root) })
    }

    /// Opens an account, for a flow.
    pub fn account(&self) -> Account {
        Account { node: Arc::new(Node::new(self.root.clone(), None)) }
    }

    /// Bytes that permits hold now.
    pub fn in_flight_bytes(&self) -> u64 {
        self.root.state.lock().used
    }

    /// The size of the budget.
    pub fn total_bytes(&self) -> u64 {
        self.root.total
    }

    /// Has `hook` called whenever bytes are freed after a reservation was refused: how a plain thread waits for
    /// room. It may be called from any thread that drops a permit. The subscription ends when it is dropped.
    pub fn on_freed(&self, hook: FreedHook) -> FreedSubscription {
        self.root.on_freed(hook)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("total_bytes", &self.root.total)
            .field("in_flight_bytes", &self.in_flight_bytes())
            .finish()
    }
}

/// Keeps a hook of [`Budget::on_freed`] alive.
pub struct FreedSubscription {
    root: Arc<Root>,
    id: u64,
}

impl Drop for FreedSubscription {
    fn drop(&mut self) {
        self.root.state.lock().hooks.retain(|(id, _)| *id != self.id);
    }
}

/// Who takes from the budget: a flow, or one of its lanes.
///
/// Clones are the same account.
#[derive(Clone)]
pub struct Account {
    node: Arc<Node>,
}

struct Node {
    root: Arc<Root>,
    parent: Option<Arc<Node>>,
    /// Bytes that this account and those under it hold; changed only under the root's lock.
    held: AtomicU64,
    /// Whether it, and those under it, get of the spare bytes; changed only under the root's lock.
    uses_spare: AtomicBool,
    blocked_since: Mutex<Option<Instant>>,
    blocked_micros: AtomicU64,
}

impl Node {
    fn new(root: Arc<Root>, parent: Option<Arc<Node>>) -> Self {
        Self {
            root,
            parent,
            held: AtomicU64::new(0),
            uses_spare: AtomicBool::new(false),
            blocked_since: Mutex::new(None),
            blocked_micros: AtomicU64::new(0),
        }
    }

    fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    fn chain(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    fn uses_spare(&self) -> bool {
        self.chain().any(|node| node.uses_spare.load(Ordering::Relaxed))
    }

    /// The bytes of which it may take some, whoever holds them.
    fn usable(&self) -> u64 {
        if self.uses_spare() { self.root.total } else { self.root.total - self.root.spare }
    }

    /// Bytes of those that nobody holds; `None` when more is held.
    fn free(&self, state: &BudgetState) -> Option<u64> {
        let free = self.root.total.checked_sub(state.used)?;
        if self.uses_spare() {
            return Some(free);
        }
        Some(free.min(self.usable().checked_sub(state.used_without_spare)?))
    }

    /// Whether the account may take so much more now; see the module's words.
    fn admits(&self, state: &BudgetState, bytes: u64) -> bool {
        let free = self.free(state);
        if self.held() == 0 {
            let most = free.unwrap_or(0).saturating_mul(FLOW_SHARE_OF_EMPTY_LANE);
            free.is_some() && self.chain().skip(1).all(|flow| flow.held() == 0 || flow.held() < most)
        } else {
            let free = free.unwrap_or(0);
            self.held() < free
                && self.chain().skip(1).all(|flow| flow.held() < free.saturating_mul(FLOW_SHARE))
                && bytes <= free
        }
    }

    fn take(&self, state: &mut BudgetState, bytes: u64) {
        state.used += bytes;
        if !self.uses_spare() {
            state.used_without_spare += bytes;
        }
        for node in self.chain() {
            node.held.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn release(&self, state: &mut BudgetState, bytes: u64) {
        state.used -= bytes;
        if !self.uses_spare() {
            state.used_without_spare -= bytes;
        }
        for node in self.chain() {
            node.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            self.release(&mut self.root.state.lock(), bytes);
            self.root.wake();
        }
    }

    fn refused(&self, state: &mut BudgetState) {
        state.wanted = true;
        self.blocked_since.lock().get_or_insert_with(Instant::now);
    }

    fn unblocked(&self) {
        if let Some(since) = self.blocked_since.lock().take() {
            let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            for node in self.chain() {
                node.blocked_micros.fetch_add(micros, Ordering::Relaxed);
            }
        }
    }
}

impl Account {
    /// Opens an account under this one, for a lane.
    pub fn child(&self) -> Account {
        Account { node: Arc::new(Node::new(self.node.root.clone(), Some(self.node.clone()))) }
    }

    /// Size of the budget the account draws on, in bytes.
    pub fn budget_bytes(&self) -> u64 {
        self.node.root.total
    }

    /// Bytes of that budget of which the account may take some: all but the spare ones, unless it uses those.
    pub fn usable_bytes(&self) -> u64 {
        self.node.usable()
    }

    /// Bytes of those that nobody holds.
    pub fn free_bytes(&self) -> u64 {
        self.node.free(&self.node.root.state.lock()).unwrap_or(0)
    }

    /// Lets a flow's account, and those under it, use the spare bytes too, or no longer. What it holds it keeps.
    pub fn use_spare(&self, yes: bool) {
        let node = &self.node;
        if node.uses_spare.load(Ordering::Relaxed) == yes {
            return;
        }
        {
            let mut state = node.root.state.lock();
            if node.uses_spare.swap(yes, Ordering::Relaxed) == yes {
                return;
            }
            if yes {
                state.used_without_spare -= node.held();
            } else {
                state.used_without_spare += node.held();
            }
        }
        // There may be more for it now, or for those without.
        node.root.wake();
    }

    /// What a client of librdkafka may queue beside that budget, in bytes.
    pub fn queue_bytes(&self) -> u64 {
        self.node.root.queue_bytes
    }

    /// As [`Budget::on_freed`], of the budget the account draws on.
    pub fn on_freed(&self, hook: FreedHook) -> FreedSubscription {
        self.node.root.on_freed(hook)
    }

    /// Takes so many bytes, if the rule of this module allows it now.
    ///
    /// After a refusal the account counts as blocked until a reservation succeeds or
    /// [`Account::stop_waiting`] is called, and the next bytes freed wake those who wait.
    pub fn try_reserve(&self, bytes: u64) -> Option<Permit> {
        {
            let mut state = self.node.root.state.lock();
            if !self.node.admits(&state, bytes) {
                self.node.refused(&mut state);
                return None;
            }
            self.node.take(&mut state, bytes);
        }
        self.node.unblocked();
        Some(Permit { node: Some(self.node.clone()), bytes })
    }

    /// Takes up to `most` bytes, but leaves half of what is free to others; `least` bytes, if that is more, as
    /// [`Account::try_reserve`] does.
    pub fn try_reserve_share(&self, least: u64, most: u64) -> Option<Permit> {
        let free = self.free_bytes();
        self.try_reserve(most.min(free / 2).max(least))
    }

    /// Whether the account may take more by the rule of this module, and either holds nothing or those above it hold
    /// less than `above`. After a no the next bytes freed wake those who wait; only the rule's own no counts as blocked.
    pub fn may_take(&self, above: u64) -> bool {
        if self.node.held() > 0 && self.node.chain().skip(1).any(|node| node.held() >= above) {
            self.node.root.state.lock().wanted = true;
            return false;
        }
        self.try_reserve(0).is_some()
    }

    /// Takes so many bytes as soon as the rule allows it. Cancel safe.
    pub fn reserve(&self, bytes: u64) -> impl Future<Output = Permit> + Send + 'static {
        let account = self.clone();
        async move {
            loop {
                let freed = account.node.root.freed.notified();
                tokio::pin!(freed);
                // Registered before the attempt: bytes freed in between are not missed.
                freed.as_mut().enable();
                if let Some(permit) = account.try_reserve(bytes) {
                    return permit;
                }
                freed.await;
            }
        }
    }

    /// Says that the account wants nothing for now, so that it doesn't count as blocked.
    pub fn stop_waiting(&self) {
        self.node.unblocked();
    }

    /// Bytes that this account and those under it hold.
    pub fn held_bytes(&self) -> u64 {
        self.node.held()
    }

    /// How long this account, and those under it taken together, waited for credit so far.
    pub fn blocked_time(&self) -> Duration {
        let running = self.node.blocked_since.lock().map_or(Duration::ZERO, |since| since.elapsed());
        Duration::from_micros(self.node.blocked_micros.load(Ordering::Relaxed)) + running
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("held_bytes", &self.held_bytes()).finish_non_exhaustive()
    }
}

/// A share of the budget; freed when it is dropped.
#[derive(Default)]
pub struct Permit {
    node: Option<Arc<Node>>,
    bytes: u64,
}

impl Permit {
    /// A permit for nothing, of no budget: for batches that hold no memory.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many bytes more, if the rule allows it now. A refusal changes nothing and wakes nobody later:
    /// whoever holds a permit has something to go on with.
    pub fn try_grow(&mut self, bytes: u64) -> bool {
        let Some(node) = &self.node else { return bytes == 0 };
        let mut state = node.root.state.lock();
        if !node.admits(&state, bytes) {
            return false;
        }
        node.take(&mut state, bytes);
        self.bytes += bytes;
        true
    }

    /// Moves bytes to another account of the same budget, as a permit of their own. What this permit doesn't hold
    /// of them is taken without asking, for memory that is already in use.
    pub fn pass_on(&mut self, bytes: u64, to: &Account) -> Permit {
        if let Some(node) = &self.node {
            let moved = bytes.min(self.bytes);
            let mut state = node.root.state.lock();
            node.release(&mut state, moved);
            to.node.take(&mut state, bytes);
            self.bytes -= moved;
        }
        Permit { bytes: if self.node.is_some() { bytes } else { 0 }, node: Some(to.node.clone()) }
    }

    /// Sets what the permit holds: less is freed at once; more is taken without asking, for memory that is
    /// already in use. Does nothing on an empty permit.
    pub fn resize(&mut self, bytes: u64) {
        let Some(node) = &self.node else { return };
        if bytes > self.bytes {
            node.take(&mut node.root.state.lock(), bytes - self.bytes);
        } else {
            node.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            node.give_back(self.bytes);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
