//! The memory of all maps together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory of all maps together.
///
/// A map may always grow its open chunk, by at most 12 KiB. One that seals a chunk while the budget is overdrawn
/// gives up as much of its own oldest history. So all maps together hold at most [`most_bytes`](Self::most_bytes),
/// plus 12 KiB for each map's open chunk and at most 14 KiB for a chunk that it sealed while there was room (one to
/// three KiB as a rule).
#[derive(Debug)]
pub struct MapBudget {
    most_bytes: usize,
    used_bytes: AtomicUsize,
}

impl MapBudget {
    /// A budget that nobody uses yet.
    pub fn new(most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { most_bytes, used_bytes: AtomicUsize::new(0) })
    }

    /// How much there is.
    pub fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// How much the maps hold.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Whether they hold more than there is.
    pub fn is_overdrawn(&self) -> bool {
        self.used_bytes() > self.most_bytes
    }
}

/// What one map holds of the budget; gives it back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct MapAccount {
    budget: Option<Arc<MapBudget>>,
    held_bytes: usize,
}

impl MapAccount {
    /// Holds nothing of `budget` yet.
    pub(super) fn new(budget: Arc<MapBudget>) -> Self {
        Self { budget: Some(budget), held_bytes: 0 }
    }

    /// Notes how much the map holds now.
    pub(super) fn hold(&mut self, bytes: usize) {
        if let Some(budget) = &self.budget {
            if bytes > self.held_bytes {
                budget.used_bytes.fetch_add(bytes - self.held_bytes, Ordering::Relaxed);
            } else {
                budget.used_bytes.fetch_sub(self.held_bytes - bytes, Ordering::Relaxed);
            }
        }
        self.held_bytes = bytes;
    }

    /// Whether all maps together hold too much.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.is_overdrawn())
    }
}

/// Counts for its own.
impl Clone for MapAccount {
    fn clone(&self) -> Self {
        let mut clone = Self { budget: self.budget.clone(), held_bytes: 0 };
        clone.hold(self.held_bytes);
        clone
    }
}

impl Drop for MapAccount {
    fn drop(&mut self) {
        self.hold(0);
    }
}
