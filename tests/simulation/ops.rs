//! What may happen, and how often.

use proptest::prelude::*;

/// What a run may do to its clusters. What excludes each other does so because no program could hold the invariant:
/// an expired tail with foreign records in it can only be counted, and counts are wrong then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scenario {
    pub foreign: bool,
    pub source_compacted: bool,
    pub source_resets: bool,
    pub target_loses: bool,
    pub target_resets: bool,
    pub target_expires: bool,
    pub target_compacted: bool,
}

pub fn scenario() -> impl Strategy<Value = Scenario> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0..6_u8).prop_map(
        |(foreign, source_compacted, source_resets, target)| Scenario {
            foreign: foreign && target != 3,
            source_compacted,
            source_resets,
            target_loses: target == 1,
            target_resets: target == 2,
            target_expires: target == 3,
            target_compacted: target == 4,
        },
    )
}

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Append(u8),
    /// Aborted records and their marker.
    Abort(u8),
    SourceCompact,
    SourceTruncate(u8),
    /// Eighths of the log.
    SourceRetain(u8),
    SourceRecreate,
    SourceElect,
    Foreign(u8),
    TargetLose(u8),
    TargetRecreate,
    TargetElect,
    TargetRetain(u8),
    TargetCompact,
    /// At most so many records; whether the epoch of a range without records is told.
    Fetch(u8, bool),
    Apply,
    Ack,
    Store,
    /// Whether the record is there all the same.
    StoreFails(bool),
    /// How many unanswered requests may still arrive.
    LoseSession(u8),
    RefuseWrite,
    RetryWrite,
    FenceWrite,
    ZombieArrives,
    ZombiesPerish,
    /// How many positions on their way are stored.
    Crash(u8),
    /// Start, open the lane or resolve; size of the pieces in which tails are read.
    Go(u8),
    SourceFails(bool),
    Notify,
    Bounds,
    Pause,
    Resume,
    Drain,
    Credit(bool),
    Advance(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (1..6_u8).prop_map(Op::Append),
        2 => (0..3_u8).prop_map(Op::Abort),
        2 => Just(Op::SourceCompact),
        2 => (0..8_u8).prop_map(Op::SourceTruncate),
        1 => (1..=8_u8).prop_map(Op::SourceRetain),
        1 => Just(Op::SourceRecreate),
        1 => Just(Op::SourceElect),
        2 => (1..3_u8).prop_map(Op::Foreign),
        2 => (0..12_u8).prop_map(Op::TargetLose),
        1 => Just(Op::TargetRecreate),
        1 => Just(Op::TargetElect),
        1 => (1..=8_u8).prop_map(Op::TargetRetain),
        2 => Just(Op::TargetCompact),
        24 => (1..6_u8, any::<bool>()).prop_map(|(most, epoch)| Op::Fetch(most, epoch)),
        20 => Just(Op::Apply),
        20 => Just(Op::Ack),
        14 => Just(Op::Store),
        1 => any::<bool>().prop_map(Op::StoreFails),
        2 => (0..4_u8).prop_map(Op::LoseSession),
        1 => Just(Op::RefuseWrite),
        1 => Just(Op::RetryWrite),
        1 => Just(Op::FenceWrite),
        4 => Just(Op::ZombieArrives),
        2 => Just(Op::ZombiesPerish),
        3 => (0..2_u8).prop_map(Op::Crash),
        26 => (1..5_u8).prop_map(Op::Go),
        1 => any::<bool>().prop_map(Op::SourceFails),
        4 => Just(Op::Notify),
        3 => Just(Op::Bounds),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => Just(Op::Drain),
        1 => any::<bool>().prop_map(Op::Credit),
        4 => (0..2000_u16).prop_map(Op::Advance),
        1 => (2000..65_000_u16).prop_map(Op::Advance),
    ]
}

/// A run, shown on one line.
#[derive(Clone)]
pub struct Script(pub Vec<Op>);

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

pub fn script() -> impl Strategy<Value = Script> {
    proptest::collection::vec(op(), 20..220).prop_map(Script)
}
