//! Which positions count.

use super::*;
use crate::formats::{Anchors, Command};
use crate::model::TopicId;

fn flow() -> FlowName {
    "f".into()
}

fn scope() -> ClaimScope {
    ClaimScope::Flow(flow())
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("orders", index)
}

fn process(id: &str) -> ProcessIdentity {
    ProcessIdentity { id: id.to_owned(), host: "h".to_owned(), pid: 1 }
}

fn claim(process: &str, released: bool) -> Option<Claim> {
    Some(Claim { process: process.to_owned(), host: "h".to_owned(), pid: 1, claimed_ms: 0, released })
}

fn at(source_next: i64) -> Position {
    Position {
        source_cluster: String::new(),
        target_cluster: String::new(),
        source_topic_id: TopicId::default(),
        remote_topic: "a.orders".into(),
        target_topic_id: TopicId::default(),
        source_epoch: -1,
        target_epoch: -1,
        source_next,
        target_next: source_next,
        producer: None,
        fingerprint: String::new(),
        clean: false,
        anchors: Anchors::default(),
        written_ms: 0,
    }
}

fn position(index: i32, token: Option<i64>, source_next: i64) -> PositionEntry {
    let stored = StoredPosition { token: token.map(Token), position: at(source_next) };
    PositionEntry::Position(PositionKey { flow: flow(), source: partition(index) }, Some(stored))
}

/// Reads entries at the offsets 0, 1, 2 …, and claims behind them.
fn read(entries: impl IntoIterator<Item = PositionEntry>) -> ClaimedPositions {
    let mut reader = ClaimReader::new(scope(), flow());
    let mut end = 0;
    for entry in entries {
        reader.take(end, entry);
        end += 1;
    }
    reader.finish(Token(end))
}

fn next_of(loaded: &ClaimedPositions, index: i32) -> Option<i64> {
    loaded.positions.get(&partition(index)).map(|position| position.source_next)
}

#[test]
fn what_was_written_before_a_claim_counts_under_it() {
    let loaded = read([
        PositionEntry::Claim(scope(), claim("a", false)),
        position(0, Some(0), 10),
        PositionEntry::Claim(scope(), claim("b", false)),
        position(1, Some(2), 7),
    ]);
    assert_eq!((next_of(&loaded, 0), next_of(&loaded, 1)), (Some(10), Some(7)));
    assert!(loaded.overwritten.is_empty());
    assert_eq!((loaded.before, loaded.token), (claim("b", false), Token(4)));
}

#[test]
fn what_a_process_writes_after_it_lost_the_flow_does_not_count() {
    let late = [
        PositionEntry::Claim(scope(), claim("a", false)),
        position(0, Some(0), 10),
        PositionEntry::Claim(scope(), claim("b", false)),
        position(0, Some(2), 50),
        position(0, Some(0), 20),
        position(1, Some(0), 20),
    ];
    let loaded = read(late.clone());
    // Where nothing else is known the late one is better than none: see below.
    assert_eq!((next_of(&loaded, 0), next_of(&loaded, 1)), (Some(50), Some(20)));
    assert_eq!(loaded.overwritten, BTreeSet::from([partition(0), partition(1)]), "to be written again");
    let again = late.into_iter().chain([position(0, Some(2), 60)]);
    let loaded = read(again);
    assert_eq!(next_of(&loaded, 0), Some(60));
    assert_eq!(loaded.overwritten, BTreeSet::from([partition(1)]));
}

#[test]
fn a_claim_of_one_partition_takes_only_that_one() {
    let loaded = read([
        PositionEntry::Claim(scope(), claim("a", false)),
        PositionEntry::Claim(ClaimScope::Partition(flow(), partition(1)), claim("b", false)),
        position(0, Some(0), 5),
        position(1, Some(0), 5),
        position(1, Some(1), 9),
    ]);
    assert_eq!((next_of(&loaded, 0), next_of(&loaded, 1)), (Some(5), Some(9)));
    assert_eq!(loaded.before, claim("a", false), "the claim of our own scope");
}

#[test]
fn positions_of_programs_that_knew_no_tokens_count() {
    let loaded =
        read([position(0, None, 3), PositionEntry::Claim(scope(), claim("a", false)), position(1, None, 4)]);
    assert_eq!((next_of(&loaded, 0), next_of(&loaded, 1)), (Some(3), Some(4)));
}

#[test]
fn what_was_released_has_no_predecessor_and_takes_nothing() {
    let loaded = read([
        PositionEntry::Claim(scope(), claim("a", false)),
        PositionEntry::Claim(scope(), claim("a", true)),
        position(0, Some(0), 8),
        PositionEntry::Command(flow(), Some(Command { paused: true, asked_ms: 1 })),
        PositionEntry::Unknown,
    ]);
    assert_eq!((next_of(&loaded, 0), loaded.before), (Some(8), None));
}

#[test]
fn tombstones_and_other_flows_are_told_apart() {
    let key = PositionKey { flow: flow(), source: partition(0) };
    let other = PositionKey { flow: "g".into(), source: partition(1) };
    let stored = Some(StoredPosition { token: None, position: at(1) });
    let loaded = read([
        position(0, None, 3),
        PositionEntry::Position(key, None),
        PositionEntry::Position(other, stored),
        PositionEntry::Claim(ClaimScope::Flow("g".into()), claim("b", false)),
    ]);
    assert!(loaded.positions.is_empty() && loaded.before.is_none());
}

#[test]
fn the_tail_tells_of_other_claims_and_of_late_positions() {
    let ours = Token(10);
    let tail = |entry| in_tail(entry, &scope(), &flow(), &process("us"), ours);
    let other = claim("other", false).expect("a claim");
    assert_eq!(
        tail(PositionEntry::Claim(scope(), Some(other.clone()))),
        Some(InTail::Claimed(other.clone()))
    );
    assert_eq!(tail(PositionEntry::Claim(scope(), claim("us", false))), None);
    assert_eq!(tail(PositionEntry::Claim(scope(), claim("other", true))), None);
    assert_eq!(tail(PositionEntry::Claim(ClaimScope::Flow("g".into()), Some(other))), None);
    assert_eq!(tail(position(0, Some(10), 1)), None);
    assert_eq!(tail(position(0, Some(9), 1)), Some(InTail::Overwritten(partition(0), at(1))));
    assert_eq!(tail(position(0, None, 1)), Some(InTail::Overwritten(partition(0), at(1))));
}

/// R4: who lost the flow may have begun with a new partition before it knew: its first position is all that tells.
#[test]
fn a_late_position_counts_where_there_was_none() {
    let first = || PositionEntry::Claim(scope(), claim("first", false));
    let second = || PositionEntry::Claim(scope(), claim("second", false));
    let loaded = read([first(), second(), position(0, Some(0), 0), position(0, Some(0), 70)]);
    assert_eq!(loaded.positions, HashMap::from([(partition(0), at(0))]), "the earliest: the rest is matched");
    assert_eq!(loaded.overwritten, BTreeSet::from([partition(0)]), "to be written again under our claim");
    let loaded = read([first(), second(), position(0, Some(0), 0), position(0, Some(1), 50)]);
    assert_eq!(loaded.positions, HashMap::from([(partition(0), at(50))]));
    // One that was taken away does not come back by it.
    let removed = PositionEntry::Position(PositionKey { flow: flow(), source: partition(0) }, None);
    let loaded = read([first(), position(0, Some(0), 0), second(), removed, position(0, Some(0), 70)]);
    assert_eq!(loaded.positions, HashMap::new());
}
