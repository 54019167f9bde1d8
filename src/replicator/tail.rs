//! Matching the target's tail with the source: which of the records behind the saved position are there already.
//!
//! # Why nothing is lost
//! A source record is passed over only if it has a copy of its own on the target, and copies are taken in order. So
//! whatever else lies in the tail, every source record before `source_next` is there. Foreign records, and copies
//! whose source was compacted away, are passed over on the *target's* side; that never moves the source's side. A
//! foreign record that equals the awaited source record in key, value, headers and timestamp takes its place: the
//! content is there all the same.
//!
//! # Why nothing comes twice
//! What a target partition got is an exact prefix of what was sent to it (R11), and it was sent in source order. So
//! of our copies in the tail, those whose source still exists are, in order, a prefix of the source from the saved
//! position on. The matcher walks both in order and takes, for each source record, the first copy that is left: with
//! no other writer that is the copy that was made of it, and the first source record without one is the first that
//! was never written.
//!
//! # Expired copies
//! Where retention removed the beginning of the tail on the target, the first source record whose copy can be read
//! tells that those before it were written too: copies are a prefix. It is looked for within as many source records
//! as there were target records. Where nothing can be read, an unbroken run of source offsets may be counted.
//!
//! # A compacted target
//! There a copy may be gone because a later record with the same key superseded it. Only then may a source record
//! without a copy be passed over: if its key comes again later in the tail. Had it been written again, it would
//! bring an old value back. That needs the whole tail at hand, so it is bounded by [`MAX_LOOK_AHEAD_RECORDS`]; a
//! longer tail is matched strictly, which may repeat records and never loses one.

mod digest;
mod matcher;

#[cfg(test)]
mod tests;

pub use digest::RecordDigest;
pub use matcher::{TailMatcher, TailNeed};

use crate::model::Segment;

/// Longest tail of a compacted target that is matched with look-ahead: about 100 bytes are held per record.
pub const MAX_LOOK_AHEAD_RECORDS: usize = 1 << 17;

/// What to compare: made by [`decide`](super::resume::decide).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailPlan {
    /// First source offset to read. The source is read as the *stored* position's fingerprint says.
    pub source_from: i64,
    /// Source offset at which reading ends at the latest: the readable end.
    pub source_to: i64,
    /// First target offset to read.
    pub target_from: i64,
    /// Target offset at which reading ends.
    pub target_to: i64,
    /// Target records before `target_from` that were written after the position and can't be read any more.
    pub unreadable: u64,
    /// Whether they may be taken for as many source records where none of the tail can be read.
    pub countable: bool,
}

/// How records are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchRules {
    /// The target stamps records with its own time: timestamps don't compare.
    pub target_append_time: bool,
    /// The target's cleaner may have removed copies.
    pub target_compacted: bool,
}

impl MatchRules {
    /// Whether `target` may be the copy of `source`.
    fn same(self, source: &RecordDigest, target: &RecordDigest) -> bool {
        source.content == target.content && self.same_time(source.timestamp_ms, target.timestamp_ms)
    }

    /// librdkafka takes 0 for "no timestamp" and is given 1 instead; a negative timestamp becomes the time of writing.
    fn same_time(self, source_ms: i64, target_ms: i64) -> bool {
        self.target_append_time
            || source_ms < 0
            || source_ms == target_ms
            || (source_ms == 0 && target_ms == 1)
    }
}

/// What the comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailMatch {
    /// Source offset after the last record that is on the target; `None` when none is.
    pub source_next: Option<i64>,
    /// Target offset after the last copy that was read; `None` when there is none.
    pub target_matched: Option<i64>,
    /// Which source offset lies at which target offset.
    pub pairs: Vec<Segment>,
    /// Target offsets `[from, to)` of records that are no copies, or whose source is gone.
    pub foreign: Vec<(i64, i64)>,
    /// Copies that were read.
    pub matched_records: u64,
    /// Copies that could only be counted, because they can't be read any more.
    pub counted_records: u64,
}

/// Matches two tails that are in memory; see [`TailMatcher`] for longer ones.
pub fn match_tail(source: &[RecordDigest], target: &[RecordDigest], rules: MatchRules) -> TailMatch {
    let plan = TailPlan {
        source_from: source.first().map_or(0, |record| record.offset),
        source_to: source.last().map_or(0, |record| record.offset + 1),
        target_from: target.first().map_or(0, |record| record.offset),
        target_to: target.last().map_or(0, |record| record.offset + 1),
        unreadable: 0,
        countable: false,
    };
    let mut matcher = TailMatcher::new(plan, rules);
    matcher.target(target);
    matcher.target_end();
    matcher.source(source);
    matcher.source_end();
    matcher.finish()
}
