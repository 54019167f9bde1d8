//! How the fetch thread is woken: by data, by commands, by freed credit.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wakes one thread, and tells it which queues have something.
#[derive(Default)]
pub(super) struct Wake {
    thread: OnceLock<Thread>,
    pending: AtomicBool,
    freed: AtomicBool,
    ready: Mutex<Vec<u64>>,
}

impl Wake {
    /// Makes the calling thread the one to be woken.
    pub(super) fn attach(&self) {
        self.thread.get_or_init(thread::current);
    }

    /// Wakes the thread.
    pub(super) fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Says that bytes of the budget were freed.
    pub(super) fn freed(&self) {
        self.freed.store(true, Ordering::Release);
        self.wake();
    }

    /// Says that a queue is no longer empty.
    pub(super) fn ready(&self, token: u64) {
        self.ready.lock().push(token);
        self.wake();
    }

    /// Queues that were said to be ready since the last call.
    pub(super) fn take_ready(&self, into: &mut Vec<u64>) {
        into.append(&mut self.ready.lock());
    }

    /// Whether bytes were freed since the last call.
    pub(super) fn take_freed(&self) -> bool {
        self.freed.swap(false, Ordering::AcqRel)
    }

    /// Waits until woken, at most so long; false when nobody did.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while !self.pending.swap(false, Ordering::AcqRel) {
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            thread::park_timeout(deadline - now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_happens_before_the_wait_is_not_missed() {
        let wake = Wake::default();
        wake.attach();
        wake.ready(3);
        wake.ready(4);
        wake.freed();
        assert!(wake.wait(Duration::from_secs(60)));
        let mut ready = Vec::new();
        wake.take_ready(&mut ready);
        assert_eq!(ready, [3, 4]);
        assert!(wake.take_freed());
        assert!(!wake.take_freed());
        assert!(!wake.wait(Duration::ZERO), "one wake-up is one");
    }

    #[test]
    fn another_thread_ends_the_wait() {
        let wake = Arc::new(Wake::default());
        wake.attach();
        let other = wake.clone();
        let waker = thread::spawn(move || other.wake());
        assert!(wake.wait(Duration::from_secs(60)));
        waker.join().expect("it doesn't panic");
    }
}
