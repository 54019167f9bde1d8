//! How much a request asks for.

/// What a request asks for while there is little to read.
const SMALLEST_BYTES: u64 = 1 << 20;
/// What a request asks for at most: over a link with 100 ms round trip that makes 320 MB/s. Brokers cap a response
/// at 55 MiB (`fetch.max.bytes`).
pub(super) const LARGEST_BYTES: u64 = 32 << 20;
/// A request asks at least for this much, however little is free: a few batches.
pub(super) const LEAST_BYTES: u64 = 64 << 10;
/// A partition's share is at least this, so that a response with many of them isn't made of crumbs.
const LEAST_SHARE_BYTES: u64 = 1 << 20;
/// So many small responses in a row halve the size: the end of a segment or a short lull is no reason to.
const SMALL_ROUNDS: u32 = 8;

/// What a loop asks for: doubled when responses come back nearly full, halved when they stay small.
#[derive(Debug)]
pub(super) struct RequestSize {
    bytes: u64,
    /// What the budget allows.
    allowed: u64,
    /// What the round trip to the source asks for, of that.
    most: u64,
    small: u32,
    /// Full responses in a row at the largest size.
    full: u32,
}

impl RequestSize {
    /// What a loop asks for that draws on a budget of so many bytes: a third of it at most, so that a response can
    /// be on its way while the one before is written and a third is being acknowledged.
    pub(super) fn new(budget_bytes: u64) -> Self {
        let most = LARGEST_BYTES.min(budget_bytes / 3).max(LEAST_BYTES);
        Self { bytes: SMALLEST_BYTES.min(most), allowed: most, most, small: 0, full: 0 }
    }

    /// Asks for no more than this from here on.
    pub(super) fn limit(&mut self, most: u64) {
        let most = most.min(self.allowed);
        // Room that was made for a large batch stays.
        if most != self.most {
            self.most = most;
            self.bytes = self.bytes.min(most);
        }
    }

    /// What the next request asks for.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What a partition may take of a response while `busy` of them have something.
    pub(super) fn share_bytes(&self, busy: usize) -> u64 {
        let share = self.bytes / (busy.max(1) as u64);
        share.max(LEAST_SHARE_BYTES.min(self.bytes))
    }

    /// Takes into account that a request for `asked` bytes got `received`.
    pub(super) fn received(&mut self, asked: u64, received: u64) {
        let is_full = received >= asked / 4 * 3;
        // What the budget cut down says little about the link.
        let at_most = self.bytes >= self.most && asked >= self.bytes / 2;
        self.full = if is_full && at_most { self.full + 1 } else { 0 };
        if is_full && asked >= self.bytes {
            self.bytes = (self.bytes * 2).min(self.most.max(self.bytes));
        }
        self.small = if received < self.bytes / 4 { self.small + 1 } else { 0 };
        if self.small >= SMALL_ROUNDS {
            self.small = 0;
            self.bytes = (self.bytes / 2).max(SMALLEST_BYTES.min(self.most));
        }
    }

    /// Makes room for a batch of this size.
    pub(super) fn make_room(&mut self, bytes: u64) {
        self.bytes = self.bytes.max(bytes);
    }

    /// How many responses in a row were full at the largest size.
    pub(super) fn full_rounds(&self) -> u32 {
        self.full
    }

    /// Counts full responses from the start.
    pub(super) fn restart_count(&mut self) {
        self.full = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn one_busy_partition_comes_to_take_the_whole_request() {
        let mut size = RequestSize::new(96 * MIB);
        let mut rounds = 0;
        while size.full_rounds() < 3 {
            let asked = size.bytes();
            assert_eq!(size.share_bytes(1), asked);
            size.received(asked, asked - 60_000);
            rounds += 1;
        }
        assert_eq!((size.bytes(), rounds), (32 * MIB, 8));
        assert_eq!(size.share_bytes(8), 4 * MIB);
        assert_eq!(size.share_bytes(1_000), MIB);
    }

    #[test]
    fn a_lull_is_waited_out_and_a_long_one_gives_the_room_back() {
        let mut size = RequestSize::new(96 * MIB);
        (0..5).for_each(|_| size.received(size.bytes(), size.bytes()));
        for _ in 0..SMALL_ROUNDS - 1 {
            size.received(size.bytes(), 0);
        }
        assert_eq!(size.bytes(), 32 * MIB);
        (0..100).for_each(|_| size.received(size.bytes(), 1_000));
        assert_eq!(size.bytes(), MIB);
    }

    #[test]
    fn a_small_budget_makes_small_requests() {
        let mut size = RequestSize::new(MIB);
        (0..9).for_each(|_| size.received(size.bytes(), size.bytes()));
        assert_eq!(size.bytes(), MIB / 3);
        assert_eq!(size.share_bytes(100), MIB / 3, "a share is never more than the whole");
        assert_eq!(RequestSize::new(0).bytes(), LEAST_BYTES);
    }

    #[test]
    fn what_the_budget_cut_down_says_nothing_about_the_link() {
        let mut size = RequestSize::new(96 * MIB);
        size.received(LEAST_BYTES, LEAST_BYTES);
        assert_eq!(size.bytes(), MIB);
    }

    #[test]
    fn room_for_a_large_batch_is_given_back_later() {
        let mut size = RequestSize::new(96 * MIB);
        size.make_room(60 * MIB);
        assert_eq!(size.bytes(), 60 * MIB);
        size.received(60 * MIB, 60 * MIB);
        assert_eq!(size.bytes(), 60 * MIB);
        (0..100).for_each(|_| size.received(size.bytes(), 0));
        assert_eq!(size.bytes(), MIB);
    }
}
