//! Memory for large responses, used again and again: fresh pages cost the kernel their clearing.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Smaller frames are allocated plainly: the allocator recycles such memory itself.
const POOLED_FROM: usize = 64 << 10;

/// Memory kept for later: a largest fetch response (32 MiB, and what a buffer is larger), or some of the usual ones.
const IDLE_LIMIT: usize = 40 << 20;

/// Memory that nothing used for this long is given back.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Recycled memory for the frames of one cluster's connections.
#[derive(Default)]
pub(super) struct Buffers {
    shelf: Mutex<Shelf>,
    /// Whether the shelf may hold anything: spares small frames the lock.
    idle_bytes: AtomicUsize,
    in_use_bytes: AtomicUsize,
}

#[derive(Default)]
struct Shelf {
    /// Empty buffers and since when they are here, the latest at the back.
    idle: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

/// A buffer on loan, for a frame being read; it goes back when it, or the last slice of the [`Bytes`] made of it, is
/// dropped.
pub(super) struct Lease {
    bytes: Vec<u8>,
    length: usize,
    /// Where a pooled buffer goes back to.
    home: Option<Arc<Buffers>>,
}

impl Buffers {
    /// An empty buffer with room for a frame of this length.
    pub(super) fn lease(self: &Arc<Self>, length: usize) -> Lease {
        self.give_back_stale();
        if length < POOLED_FROM {
            return Lease { bytes: Vec::with_capacity(length), length, home: None };
        }
        let rounded = round_up(length);
        let bytes = self.take(length, rounded).unwrap_or_else(|| Vec::with_capacity(rounded));
        self.in_use_bytes.fetch_add(bytes.capacity(), Ordering::Relaxed);
        Lease { bytes, length, home: Some(self.clone()) }
    }

    /// Memory on loan: capacities of the buffers, which are up to a quarter larger than their frames, or twice when
    /// they were made for another.
    pub(super) fn in_use_bytes(&self) -> usize {
        self.in_use_bytes.load(Ordering::Relaxed)
    }

    /// The buffer that came back last, among those that fit and don't waste much.
    fn take(&self, length: usize, rounded: usize) -> Option<Vec<u8>> {
        let mut shelf = self.shelf.lock();
        let fits = |(_, idle): &(Instant, Vec<u8>)| (length..=2 * rounded).contains(&idle.capacity());
        let place = shelf.idle.iter().rposition(fits)?;
        let (_, bytes) = shelf.idle.remove(place)?;
        shelf.bytes -= bytes.capacity();
        self.idle_bytes.store(shelf.bytes, Ordering::Relaxed);
        Some(bytes)
    }

    fn put(&self, mut bytes: Vec<u8>) {
        self.in_use_bytes.fetch_sub(bytes.capacity(), Ordering::Relaxed);
        if bytes.capacity() > IDLE_LIMIT {
            // It would push all others out, and itself.
            return;
        }
        bytes.clear();
        self.shelve(|shelf| {
            shelf.bytes += bytes.capacity();
            shelf.idle.push_back((Instant::now(), bytes));
        });
    }

    /// Without idle memory, which is the rule for connections that see small frames only, this costs a load.
    fn give_back_stale(&self) {
        if self.idle_bytes.load(Ordering::Relaxed) > 0 {
            self.shelve(|_| {});
        }
    }

    /// Changes the shelf, and gives back what is too much or too old.
    fn shelve(&self, change: impl FnOnce(&mut Shelf)) {
        let mut surplus = Vec::new();
        let mut shelf = self.shelf.lock();
        change(&mut shelf);
        while let Some((since, oldest)) = shelf.idle.front()
            && (shelf.bytes > IDLE_LIMIT || since.elapsed() >= IDLE_TIME)
        {
            shelf.bytes -= oldest.capacity();
            surplus.extend(shelf.idle.pop_front());
        }
        self.idle_bytes.store(shelf.bytes, Ordering::Relaxed);
        // Unmapping takes a while: not under the lock.
        drop(shelf);
        drop(surplus);
    }
}

/// Four sizes per doubling, so that frames of about the same length can share buffers.
fn round_up(length: usize) -> usize {
    let step = length.next_power_of_two() / 8;
    length.div_ceil(step.max(1)) * step.max(1)
}

impl Lease {
    /// Bytes still to be read.
    pub(super) fn missing(&self) -> usize {
        self.length - self.bytes.len()
    }

    /// The memory to read into, at its end; at most [`Lease::missing`] bytes.
    pub(super) fn spare(&mut self) -> bytes::buf::Limit<&mut Vec<u8>> {
        let missing = self.missing();
        bytes::BufMut::limit(&mut self.bytes, missing)
    }

    /// What was read. The memory goes back when the last slice of it is dropped.
    pub(super) fn freeze(mut self) -> Bytes {
        match self.home {
            Some(_) => Bytes::from_owner(self),
            None => Bytes::from(mem::take(&mut self.bytes)),
        }
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.put(mem::take(&mut self.bytes));
        }
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers")
            .field("in_use_bytes", &self.in_use_bytes())
            .field("idle_bytes", &self.idle_bytes.load(Ordering::Relaxed))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    const MIB: usize = 1 << 20;

    fn filled(buffers: &Arc<Buffers>, length: usize, byte: u8) -> Bytes {
        let mut lease = buffers.lease(length);
        let (most, some) = (length / 3 * 2, length - length / 3 * 2);
        lease.spare().put_bytes(byte, most);
        assert_eq!(lease.missing(), some);
        lease.spare().put_bytes(byte, some);
        lease.freeze()
    }

    fn idle(buffers: &Buffers) -> usize {
        let shelf = buffers.shelf.lock();
        assert_eq!(shelf.bytes, shelf.idle.iter().map(|(_, bytes)| bytes.capacity()).sum::<usize>());
        assert_eq!(shelf.bytes, buffers.idle_bytes.load(Ordering::Relaxed));
        shelf.bytes
    }

    #[test]
    fn a_buffer_comes_back_after_the_last_slice_is_gone_and_is_used_again() {
        let buffers = Arc::new(Buffers::default());
        let frame = filled(&buffers, MIB, 7);
        let memory = frame.as_ptr();
        let slice = frame.slice(MIB - 10..);
        drop(frame);
        assert_eq!((idle(&buffers), buffers.in_use_bytes()), (0, MIB));
        assert_eq!(slice, [7; 10][..]);
        drop(slice);
        assert_eq!((idle(&buffers), buffers.in_use_bytes()), (MIB, 0));
        let again = filled(&buffers, MIB - 100, 8);
        assert_eq!(again.as_ptr(), memory);
        assert_eq!((idle(&buffers), buffers.in_use_bytes()), (0, MIB));
        assert!(again.len() == MIB - 100 && again.iter().all(|byte| *byte == 8));
    }

    #[test]
    fn a_buffer_that_is_never_filled_comes_back_too() {
        let buffers = Arc::new(Buffers::default());
        drop(buffers.lease(MIB));
        assert_eq!((idle(&buffers), buffers.in_use_bytes()), (MIB, 0));
    }

    #[test]
    fn small_frames_and_frames_of_another_size_leave_the_pool_alone() {
        let buffers = Arc::new(Buffers::default());
        drop(filled(&buffers, MIB, 1));
        let small = filled(&buffers, POOLED_FROM - 1, 2);
        assert_eq!((idle(&buffers), buffers.in_use_bytes()), (MIB, 0));
        assert!(small.len() == POOLED_FROM - 1 && small.iter().all(|byte| *byte == 2));
        let (less, more) = (filled(&buffers, MIB / 4, 3), filled(&buffers, MIB + 1, 4));
        assert_eq!(idle(&buffers), MIB);
        assert!(more.len() == MIB + 1 && less.len() == MIB / 4);
    }

    #[test]
    fn idle_memory_is_bounded_and_the_oldest_goes_first() {
        let buffers = Arc::new(Buffers::default());
        let frames: Vec<Bytes> = (0..20).map(|_| filled(&buffers, 4 * MIB, 0)).collect();
        let newest = frames[19].as_ptr();
        assert_eq!(buffers.in_use_bytes(), 80 * MIB);
        drop(frames);
        assert_eq!((idle(&buffers), buffers.in_use_bytes()), (IDLE_LIMIT, 0));
        assert_eq!(filled(&buffers, 4 * MIB, 0).as_ptr(), newest);
        drop(filled(&buffers, 100 * MIB, 0));
        assert_eq!((idle(&buffers), buffers.in_use_bytes()), (IDLE_LIMIT, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_without_use_is_given_back_when_the_pool_is_touched() {
        let buffers = Arc::new(Buffers::default());
        drop(filled(&buffers, MIB, 0));
        tokio::time::advance(IDLE_TIME / 2).await;
        drop(filled(&buffers, 3 * MIB, 0));
        tokio::time::advance(IDLE_TIME / 2).await;
        drop(filled(&buffers, 10, 0));
        assert_eq!(idle(&buffers), 3 * MIB);
    }

    #[test]
    fn sizes_are_rounded_up_by_a_quarter_at_most() {
        for length in [POOLED_FROM, POOLED_FROM + 1, MIB - 1, MIB, MIB + 1, 100_000_001] {
            let rounded = round_up(length);
            assert!(rounded >= length && rounded <= length + length / 4, "{length}: {rounded}");
        }
        assert_eq!(round_up(5 * MIB / 4 + 1), 3 * MIB / 2);
    }
}
