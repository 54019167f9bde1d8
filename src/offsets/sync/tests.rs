use super::*;
use Translation::{EarliestSafe, Exact, Unknown};

mod model;

const NOW: i64 = 1_700_000_000_000;

/// Both sides free, the way back open, translations by adding or taking 1,000.
fn seen(source: Option<i64>, target: Option<i64>) -> SyncFacts {
    SyncFacts {
        source,
        target,
        forward: source.map_or(Unknown, |offset| Exact(offset + 1_000)),
        backward: target.map_or(Unknown, |offset| Exact(offset - 1_000)),
        forgotten: false,
        back: true,
        source_free: true,
        target_free: true,
    }
}

fn synced(source: i64, target: i64, owner: Side) -> SyncMemory {
    SyncMemory { synced: Some(SyncPair { source, target, owner }), planned: None, written_ms: NOW }
}

fn step(memory: SyncMemory, seen: &SyncFacts) -> SyncStep {
    decide(memory, seen, NOW).step
}

fn to_target(source: i64, target: i64) -> SyncStep {
    SyncStep::Write(SyncPair { source, target, owner: Side::Source })
}

fn to_source(source: i64, target: i64) -> SyncStep {
    SyncStep::Write(SyncPair { source, target, owner: Side::Target })
}

#[test]
fn an_absent_target_is_written_whoever_wrote_before() {
    assert_eq!(step(SyncMemory::default(), &seen(Some(5), None)), to_target(5, 1_005));
    assert_eq!(step(synced(5, 1_005, Side::Source), &seen(Some(5), None)), to_target(5, 1_005), "expired");
    assert_eq!(step(synced(5, 1_005, Side::Target), &seen(Some(6), None)), to_target(6, 1_006));
}

#[test]
fn the_target_follows_the_source_rewinds_included() {
    let memory = synced(5, 1_005, Side::Source);
    assert_eq!(step(memory, &seen(Some(9), Some(1_005))), to_target(9, 1_009));
    assert_eq!(step(memory, &seen(Some(2), Some(1_005))), to_target(2, 1_002));
    assert_eq!(step(memory, &seen(Some(5), Some(1_005))), SyncStep::Keep);
}

#[test]
fn what_the_target_changed_is_its_own() {
    let memory = synced(5, 1_005, Side::Source);
    assert_eq!(step(memory, &seen(Some(5), Some(1_008))), to_source(8, 1_008));
    assert_eq!(step(memory, &seen(Some(5), Some(1_001))), to_source(1, 1_001), "a rewind counts too");
    let one_way = SyncFacts { back: false, ..seen(Some(5), Some(1_008)) };
    assert_eq!(step(memory, &one_way), SyncStep::Leave(RefusalReason::TargetOwns));
}

#[test]
fn a_position_that_came_back_from_the_target_is_not_sent_there_again() {
    // The way back is not exact, and the way forth of it would be a rewind of the target's own commit.
    let memory = synced(4, 1_008, Side::Target);
    let seen_now = SyncFacts { backward: EarliestSafe(4), ..seen(Some(4), Some(1_008)) };
    assert_eq!(step(memory, &seen_now), SyncStep::Keep);
    // The group goes on at the source: now it decides.
    let moved = SyncFacts { backward: EarliestSafe(4), ..seen(Some(20), Some(1_008)) };
    assert_eq!(step(memory, &moved), to_target(20, 1_020));
}

#[test]
fn two_changes_are_left_unless_they_agree() {
    let memory = synced(5, 1_005, Side::Source);
    assert_eq!(step(memory, &seen(Some(7), Some(1_009))), SyncStep::Leave(RefusalReason::Conflict));
    let agreed = decide(memory, &seen(Some(7), Some(1_007)), NOW);
    assert_eq!((agreed.step, agreed.memory), (SyncStep::Keep, synced(7, 1_007, Side::Source)));
    assert_eq!(
        step(SyncMemory::default(), &seen(Some(7), Some(1_009))),
        SyncStep::Leave(RefusalReason::Conflict),
        "nobody knows who was first"
    );
    let both_active = SyncFacts { source_free: false, target_free: false, ..seen(Some(7), Some(1_009)) };
    assert_eq!(step(memory, &both_active), SyncStep::Leave(RefusalReason::Active));
}

#[test]
fn a_missing_source_is_written_only_from_what_the_target_worked() {
    assert_eq!(step(SyncMemory::default(), &seen(None, Some(1_005))), to_source(5, 1_005));
    let one_way = SyncFacts { back: false, ..seen(None, Some(1_005)) };
    assert_eq!(
        step(SyncMemory::default(), &one_way),
        SyncStep::Keep,
        "the target's own group is nobody's business"
    );
    let memory = synced(5, 1_005, Side::Source);
    assert_eq!(step(memory, &seen(None, Some(1_005))), SyncStep::Leave(RefusalReason::SourceGone));
    assert_eq!(step(memory, &seen(None, Some(1_006))), to_source(6, 1_006));
    assert_eq!(step(synced(5, 1_005, Side::Target), &seen(None, Some(1_005))), to_source(5, 1_005));
}

#[test]
fn active_members_are_left_alone() {
    let memory = synced(5, 1_005, Side::Source);
    let busy_target = SyncFacts { target_free: false, ..seen(Some(6), Some(1_005)) };
    assert_eq!(step(memory, &busy_target), SyncStep::Leave(RefusalReason::Active));
    let busy_source = SyncFacts { source_free: false, ..seen(Some(6), Some(1_005)) };
    assert_eq!(step(memory, &busy_source), to_target(6, 1_006), "it works there, that is what we follow");
    let way_back = SyncFacts { source_free: false, ..seen(Some(5), Some(1_006)) };
    assert_eq!(step(memory, &way_back), SyncStep::Leave(RefusalReason::Active));
}

#[test]
fn what_is_not_known_is_not_written() {
    let unknown = SyncFacts { forward: Unknown, ..seen(Some(5), None) };
    assert_eq!(step(SyncMemory::default(), &unknown), SyncStep::Leave(RefusalReason::Unknown));
    let unknown = SyncFacts { forward: Unknown, ..seen(Some(6), Some(1_005)) };
    assert_eq!(step(synced(5, 1_005, Side::Source), &unknown), SyncStep::Leave(RefusalReason::Unknown));
}

#[test]
fn a_better_translation_of_the_same_commit_is_written() {
    let memory = synced(5, 1_003, Side::Source);
    assert_eq!(step(memory, &seen(Some(5), Some(1_003))), to_target(5, 1_005), "mirrored meanwhile");
    // The target lost records: what we wrote lies behind unread ones.
    let lost = SyncFacts { forward: EarliestSafe(1_001), ..seen(Some(5), Some(1_003)) };
    assert_eq!(step(memory, &lost), to_target(5, 1_001));
}

#[test]
fn what_the_map_forgot_moves_nothing_back() {
    let memory = synced(5, 1_005, Side::Source);
    let forgot = |source| SyncFacts {
        forward: EarliestSafe(1_000),
        forgotten: true,
        ..seen(Some(source), Some(1_005))
    };
    assert_eq!(step(memory, &forgot(5)), SyncStep::Keep);
    assert_eq!(step(memory, &forgot(6)), SyncStep::Keep, "it is not before what was read");
    assert_eq!(step(memory, &forgot(3)), to_target(3, 1_000), "a rewind goes to what is safe");
}

#[test]
fn offsets_of_ours_are_written_again_each_day() {
    let memory = synced(5, 1_005, Side::Source);
    let in_step = seen(Some(5), Some(1_005));
    assert_eq!(decide(memory, &in_step, NOW + REFRESH_MS - 1).step, SyncStep::Keep);
    let pair = memory.synced.unwrap();
    assert_eq!(decide(memory, &in_step, NOW + REFRESH_MS).step, SyncStep::Refresh(pair));
    let unknown = SyncFacts { forward: Unknown, ..in_step };
    assert_eq!(decide(memory, &unknown, NOW + REFRESH_MS).step, SyncStep::Refresh(pair));
    let adopted = decide(SyncMemory::default(), &in_step, NOW);
    assert_eq!(
        decide(adopted.memory, &in_step, NOW + 1).step,
        SyncStep::Keep,
        "adopted is as good as written"
    );
}

#[test]
fn a_plan_that_arrived_is_ours_and_one_that_did_not_is_forgotten() {
    let before = synced(5, 1_005, Side::Source);
    let planned = before.plan(SyncPair { source: 6, target: 1_006, owner: Side::Source });
    assert_eq!(step(planned, &seen(Some(6), Some(1_006))), SyncStep::Keep, "it arrived");
    assert_eq!(step(planned, &seen(Some(8), Some(1_006))), to_target(8, 1_008));
    assert_eq!(step(planned, &seen(Some(6), Some(1_005))), to_target(6, 1_006), "it did not");
    // Somebody worked on the target, on top of our write or instead of it.
    assert_eq!(step(planned, &seen(Some(6), Some(1_009))), SyncStep::Leave(RefusalReason::Conflict));
    let way_back = before.plan(SyncPair { source: 3, target: 1_003, owner: Side::Target });
    assert_eq!(step(way_back, &seen(Some(3), Some(1_003))), SyncStep::Keep);
    assert_eq!(step(way_back, &seen(Some(5), Some(1_003))), to_source(3, 1_003));
}

#[test]
fn nothing_on_both_sides_is_forgotten() {
    let decision = decide(synced(5, 1_005, Side::Source), &seen(None, None), NOW);
    assert_eq!(decision, SyncDecision { step: SyncStep::Keep, memory: SyncMemory::default() });
    assert!(decision.memory.is_empty());
}

#[test]
fn a_write_is_kept_within_the_log() {
    let forth = |target| SyncPair { source: 5, target, owner: Side::Source };
    assert_eq!(within(forth(7), 10, 20), forth(10));
    assert_eq!(within(forth(27), 10, 20), forth(20));
    assert_eq!(within(forth(17), 10, 20), forth(17));
    assert_eq!(within(forth(17), 30, 30), forth(30), "an emptied log has one place");
    let back = |source| SyncPair { source, target: 5, owner: Side::Target };
    assert_eq!(within(back(7), 10, 20), back(10));
}
