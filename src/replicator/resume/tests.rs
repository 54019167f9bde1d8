//! Tests of the resume rule, case by case.

use uuid::Uuid;

use super::*;
use crate::formats::Anchors;
use crate::model::{EpochEnd, FaultKind, ResetPolicy, Segment, TargetResetPolicy, TopicId};
use crate::replicator::tail::TailMatch;

fn id(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

/// Source next 100 in epoch 5 belongs to target next 200; nothing was written since.
fn position() -> Position {
    let mut anchors = Anchors::starting_at(10, 110);
    anchors.push(60, 160);
    Position {
        source_cluster: "S".to_owned(),
        target_cluster: "T".to_owned(),
        source_topic_id: id(1),
        remote_topic: "a.orders".into(),
        target_topic_id: id(2),
        source_epoch: 5,
        target_epoch: 7,
        source_next: 100,
        target_next: 200,
        producer: None,
        fingerprint: "read_committed".to_owned(),
        clean: false,
        anchors,
        written_ms: 0,
    }
}

fn source() -> SourceFacts {
    SourceFacts {
        cluster: "S".to_owned(),
        topic_id: id(1),
        log_start: 0,
        log_end: 130,
        leader_epoch: 5,
        epoch_end: Some(EpochEnd { epoch: 5, end_offset: 130 }),
        start_offset: 0,
    }
}

fn target() -> TargetFacts {
    TargetFacts {
        cluster: "T".to_owned(),
        topic_id: id(2),
        remote_topic: "a.orders".into(),
        log_start: 0,
        log_end: 200,
        high_watermark: 200,
        stood_still: true,
        leader_epoch: 7,
        epoch_end: Some(EpochEnd { epoch: 7, end_offset: 200 }),
        lost_from: None,
    }
}

fn policy() -> ResumePolicy {
    ResumePolicy {
        place: "a→b orders-0".to_owned(),
        on_source_reset: ResetPolicy::Continue,
        on_target_reset: TargetResetPolicy::Restart,
        start_is_explicit: false,
        appeared: false,
        fingerprint: "read_committed".to_owned(),
    }
}

fn failing() -> ResumePolicy {
    ResumePolicy { on_source_reset: ResetPolicy::Fail, on_target_reset: TargetResetPolicy::Fail, ..policy() }
}

fn go(source_next: i64, target_next: i64) -> ResumeNext {
    ResumeNext::Go { source_next, target_next }
}

fn tail(source_from: i64, target: (i64, i64), unreadable: u64) -> ResumeNext {
    let (target_from, target_to) = target;
    let countable = true;
    ResumeNext::MatchTail(TailPlan {
        source_from,
        source_to: 130,
        target_from,
        target_to,
        unreadable,
        countable,
    })
}

fn with_end(end: i64) -> TargetFacts {
    TargetFacts { log_end: end, high_watermark: end, ..target() }
}

fn matched(source_next: i64, target_matched: i64) -> Option<TailMatch> {
    Some(TailMatch {
        source_next: Some(source_next),
        target_matched: Some(target_matched),
        pairs: vec![Segment { source_base: source_next - 1, target_base: target_matched - 1, count: 1 }],
        matched_records: 1,
        ..TailMatch::default()
    })
}

fn fault_kind(next: &ResumeNext) -> Option<FaultKind> {
    match next {
        ResumeNext::Fault(fault) => Some(fault.kind),
        _ => None,
    }
}

#[test]
fn goes_on_where_it_stood_and_saves_nothing() {
    let verdict = decide(Some(&position()), &source(), &target(), &policy());
    assert_eq!(verdict.next, go(100, 200));
    let resolution = verdict.conclude(None).unwrap();
    assert_eq!(resolution.events, [Event::Resumed { source_next: 100, target_next: 200 }]);
    assert_eq!((resolution.source_epoch, resolution.target_epoch, resolution.save), (5, 7, false));
    assert_eq!(resolution.position.anchors.at_or_before_target(199).map(|anchor| anchor.source), Some(60));
}

#[test]
fn a_position_that_is_not_said_yet_is_saved_first() {
    let save = |position: &Position, source: &SourceFacts, target: &TargetFacts| {
        decide(Some(position), source, target, &policy()).conclude(None).unwrap().save
    };
    assert!(save(&Position { clean: true, ..position() }, &source(), &target()), "a clean stop is forgotten");
    assert!(save(&Position { fingerprint: "other".to_owned(), ..position() }, &source(), &target()));
    assert!(save(&Position { source_topic_id: TopicId::default(), ..position() }, &source(), &target()));
    assert!(save(&position(), &source(), &TargetFacts { leader_epoch: 8, ..target() }));
    assert!(decide(None, &source(), &with_empty(), &policy()).conclude(None).unwrap().save);
}

fn with_empty() -> TargetFacts {
    TargetFacts { log_start: 40, epoch_end: None, ..with_end(40) }
}

#[test]
fn the_first_start_follows_the_policy() {
    let from = SourceFacts { log_start: 20, start_offset: 90, ..source() };
    assert_eq!(decide(None, &from, &with_empty(), &policy()).next, go(90, 40));
    let appeared = ResumePolicy { appeared: true, ..policy() };
    assert_eq!(decide(None, &from, &with_empty(), &appeared).next, go(20, 40));
    let expired = SourceFacts { start_offset: 5, ..from };
    assert_eq!(decide(None, &expired, &with_empty(), &policy()).next, go(20, 40));
}

#[test]
fn a_remote_topic_that_is_not_empty_needs_an_explicit_start() {
    let verdict = decide(None, &source(), &target(), &policy());
    assert_eq!(fault_kind(&verdict.next), Some(FaultKind::RemoteNotEmpty));
    let explicit = ResumePolicy { start_is_explicit: true, ..policy() };
    let verdict = decide(None, &source(), &target(), &explicit);
    assert_eq!(verdict.next, go(0, 200));
    assert_eq!(verdict.events, [Event::ForeignRecords { from: 0, to: 200 }]);
}

#[test]
fn an_unclean_tail_must_stand_still() {
    let moving = TargetFacts { stood_still: false, ..target() };
    let behind = TargetFacts { high_watermark: 199, ..target() };
    let clean = Position { clean: true, ..position() };
    for facts in [&moving, &behind] {
        assert_eq!(decide(Some(&position()), &source(), facts, &policy()).next, ResumeNext::Settle);
        assert_eq!(decide(Some(&clean), &source(), facts, &policy()).next, go(100, 200));
    }
    let longer = TargetFacts { stood_still: false, ..with_end(201) };
    assert_eq!(decide(Some(&clean), &source(), &longer, &policy()).next, ResumeNext::Settle);
    let verdict = decide(Some(&position()), &source(), &moving, &policy());
    assert!(verdict.events.is_empty() && verdict.conclude(None).is_err());
}

#[test]
fn a_recreated_source_starts_at_its_first_record() {
    let renamed = SourceFacts { topic_id: id(9), log_start: 3, ..source() };
    let moved = SourceFacts { cluster: "S2".to_owned(), log_start: 3, ..source() };
    let old_broker = SourceFacts { topic_id: TopicId::default(), log_start: 3, leader_epoch: 4, ..source() };
    for facts in [&renamed, &moved, &old_broker] {
        let verdict = decide(Some(&position()), facts, &with_end(210), &policy());
        assert_eq!(verdict.next, go(3, 210));
        assert_eq!(
            verdict.events,
            [
                Event::SourceRecreated { old_next: 100, new_start: 3 },
                Event::ForeignRecords { from: 200, to: 210 }
            ]
        );
        let resolution = verdict.conclude(None).unwrap();
        assert_eq!(resolution.position.anchors, Anchors::starting_at(3, 210));
        assert_eq!(resolution.source_epoch, facts.leader_epoch);
        let verdict = decide(Some(&position()), facts, &target(), &failing());
        assert_eq!(fault_kind(&verdict.next), Some(FaultKind::SourceReset));
    }
    let unknown = SourceFacts { topic_id: TopicId::default(), ..source() };
    assert_eq!(decide(Some(&position()), &unknown, &target(), &policy()).next, go(100, 200));
}

#[test]
fn retention_that_overtook_is_reported_exactly() {
    let facts = SourceFacts { log_start: 120, ..source() };
    let verdict = decide(Some(&position()), &facts, &target(), &policy());
    assert_eq!(verdict.next, go(120, 200));
    let resolution = verdict.conclude(None).unwrap();
    assert_eq!(resolution.events[0], Event::RetentionOvertook { from: 100, to: 120 });
    let fault = decide(Some(&position()), &facts, &target(), &failing()).conclude(None).unwrap_err();
    assert_eq!(fault.kind, FaultKind::SourceReset);
    assert!(fault.what.contains("100 to 120"), "{fault}");
}

#[test]
fn retention_is_no_loss_where_the_tail_shows_later_records() {
    let facts = SourceFacts { log_start: 120, ..source() };
    for policy in [policy(), failing()] {
        let verdict = decide(Some(&position()), &facts, &with_end(225), &policy);
        assert!(matches!(verdict.next, ResumeNext::MatchTail(_)));
        let resolution = verdict.conclude(matched(125, 225)).unwrap();
        assert_eq!((resolution.source_next, resolution.target_next), (125, 225));
        assert!(!resolution.events.iter().any(|event| matches!(event, Event::RetentionOvertook { .. })));
    }
    let verdict = decide(Some(&position()), &facts, &with_end(225), &policy());
    let unmatched = TailMatch { foreign: vec![(200, 225)], ..TailMatch::default() };
    let resolution = verdict.conclude(Some(unmatched)).unwrap();
    assert!(resolution.events.contains(&Event::RetentionOvertook { from: 100, to: 120 }));
    assert!(resolution.events.contains(&Event::ForeignRecords { from: 200, to: 225 }));
}

#[test]
fn a_truncation_is_found_though_the_log_has_grown_past_it() {
    let cut = EpochEnd { epoch: 4, end_offset: 80 };
    let facts = SourceFacts { leader_epoch: 6, epoch_end: Some(cut), ..source() };
    let verdict = decide(Some(&position()), &facts, &target(), &policy());
    assert_eq!(verdict.next, go(80, 200));
    assert_eq!(verdict.events, [Event::SourceTruncated { from: 80, to: 100 }]);
    let resolution = verdict.conclude(None).unwrap();
    assert_eq!(resolution.source_epoch, 4, "the epoch that ends there");
    assert_eq!(resolution.position.anchors, Anchors::starting_at(80, 200), "older pairs may be cut off");
    let fault = decide(Some(&position()), &facts, &target(), &failing()).next;
    assert_eq!(fault_kind(&fault), Some(FaultKind::SourceReset));
    let tail_too = decide(Some(&position()), &facts, &with_end(210), &policy());
    assert_eq!(tail_too.next, tail(80, (200, 210), 0));
}

#[test]
fn without_epochs_the_readable_end_shows_a_truncation() {
    let facts = SourceFacts { log_end: 80, epoch_end: None, ..source() };
    let verdict = decide(Some(&position()), &facts, &target(), &policy());
    assert_eq!((verdict.next, verdict.events.len()), (go(80, 200), 1));
    let other_isolation = Position { fingerprint: "read_uncommitted".to_owned(), ..position() };
    assert_eq!(decide(Some(&other_isolation), &facts, &target(), &policy()).next, go(100, 200));
}

#[test]
fn truncated_and_expired_past_the_cut_are_both_told() {
    let cut = EpochEnd { epoch: 4, end_offset: 80 };
    let facts = SourceFacts { log_start: 90, leader_epoch: 6, epoch_end: Some(cut), ..source() };
    let resolution = decide(Some(&position()), &facts, &target(), &policy()).conclude(None).unwrap();
    assert_eq!(
        resolution.events,
        [
            Event::SourceTruncated { from: 80, to: 100 },
            Event::RetentionOvertook { from: 80, to: 90 },
            Event::Resumed { source_next: 90, target_next: 200 }
        ]
    );
}

#[test]
fn another_target_topic_follows_the_policy() {
    let recreated = TargetFacts { topic_id: id(9), epoch_end: None, ..with_end(0) };
    let renamed = TargetFacts { remote_topic: "orders".into(), epoch_end: None, ..with_end(0) };
    let facts = SourceFacts { log_start: 20, ..source() };
    for target in [&recreated, &renamed] {
        let verdict = decide(Some(&position()), &facts, target, &policy());
        assert_eq!(verdict.next, go(20, 0));
        assert_eq!(verdict.events, [Event::TargetRecreated { old_next: 200 }]);
        let on = ResumePolicy { on_target_reset: TargetResetPolicy::Continue, ..policy() };
        let verdict = decide(Some(&position()), &facts, target, &on);
        assert_eq!(verdict.next, go(100, 0));
        let resolution = verdict.conclude(None).unwrap();
        assert_eq!(resolution.position.anchors, Anchors::starting_at(100, 0));
        let fault = decide(Some(&position()), &facts, target, &failing()).next;
        assert_eq!(fault_kind(&fault), Some(FaultKind::TargetReset));
    }
    // What was written to it before anyone noticed is found in it.
    let written = TargetFacts { topic_id: id(9), epoch_end: None, ..with_end(6) };
    assert_eq!(decide(Some(&position()), &facts, &written, &policy()).next, tail(20, (0, 6), 0));
}

#[test]
fn a_target_that_lost_its_end_is_matched_from_an_anchor() {
    let verdict = decide(Some(&position()), &source(), &with_end(170), &policy());
    assert_eq!(verdict.next, tail(60, (160, 170), 0));
    let resolution = verdict.conclude(matched(70, 170)).unwrap();
    assert_eq!((resolution.source_next, resolution.target_next), (70, 170));
    assert!(resolution.events.contains(&Event::TargetLost { from: 170, to: 200 }));
    assert_eq!(resolution.position.anchors.as_slice().len(), 3);
    // Below every anchor all is compared with all.
    let verdict = decide(Some(&position()), &source(), &with_end(50), &policy());
    assert_eq!(verdict.next, tail(0, (0, 50), 0));
    let verdict = decide(Some(&position()), &source(), &with_end(0), &policy());
    assert_eq!(verdict.next, go(0, 0));
    let events = verdict.conclude(None).unwrap().events;
    assert!(events.contains(&Event::TargetLost { from: 0, to: 200 }));
}

#[test]
fn a_loss_is_found_though_the_target_has_grown_past_it() {
    let cut = EpochEnd { epoch: 7, end_offset: 170 };
    let facts = TargetFacts { leader_epoch: 8, epoch_end: Some(cut), ..with_end(240) };
    let verdict = decide(Some(&position()), &source(), &facts, &policy());
    assert_eq!(verdict.next, tail(60, (160, 240), 0));
    let lost = verdict.clone().conclude(matched(70, 170)).unwrap();
    assert_eq!(lost.source_next, 70);
    assert!(lost.events.contains(&Event::TargetLost { from: 170, to: 200 }));
    // An election alone, with writes under the new epoch before anyone looked: everything is there.
    let there = verdict.conclude(matched(105, 205)).unwrap();
    assert_eq!(there.source_next, 105);
    assert!(!there.events.iter().any(|event| matches!(event, Event::TargetLost { .. })));
}

#[test]
fn a_doubt_alone_makes_no_loss_of_what_expired_on_the_source() {
    let facts = SourceFacts { log_start: 100, ..source() };
    let cut = EpochEnd { epoch: 7, end_offset: 170 };
    let elected = TargetFacts { leader_epoch: 8, epoch_end: Some(cut), ..target() };
    let verdict = decide(Some(&position()), &facts, &elected, &failing());
    let resolution = verdict.conclude(Some(TailMatch::default())).unwrap();
    assert_eq!(resolution.source_next, 100);
    assert_eq!(resolution.events, [Event::Resumed { source_next: 100, target_next: 200 }]);
    // A target that ends below the position leaves no doubt.
    let events = decide(Some(&position()), &facts, &with_end(170), &policy())
        .conclude(Some(TailMatch::default()))
        .unwrap()
        .events;
    assert!(events.contains(&Event::RetentionOvertook { from: 60, to: 100 }));
}

#[test]
fn a_loss_that_the_machine_saw_is_resolved_and_not_told_twice() {
    let facts = TargetFacts { lost_from: Some(180), ..with_end(230) };
    let verdict = decide(Some(&position()), &source(), &facts, &policy());
    assert_eq!(verdict.next, tail(60, (160, 230), 0));
    let resolution = verdict.conclude(matched(80, 180)).unwrap();
    assert_eq!(resolution.source_next, 80);
    assert!(!resolution.events.iter().any(|event| matches!(event, Event::TargetLost { .. })));
}

#[test]
fn what_expired_on_the_target_is_counted_but_not_over_a_hole() {
    let expired = TargetFacts { log_start: 210, ..with_end(215) };
    let verdict = decide(Some(&position()), &source(), &expired, &policy());
    assert_eq!(verdict.next, tail(100, (210, 215), 10));
    let all = TargetFacts { log_start: 210, ..with_end(210) };
    assert_eq!(decide(Some(&position()), &source(), &all, &policy()).next, tail(100, (210, 210), 10));
    // Another history, or a hole, may lie there: only a copy that can be read shows what was written.
    let cut = Some(EpochEnd { epoch: 5, end_offset: 109 });
    let elected = SourceFacts { leader_epoch: 6, epoch_end: cut, ..source() };
    let hole = SourceFacts { log_start: 105, ..source() };
    for (facts, from) in [(&elected, 100), (&hole, 105)] {
        let ResumeNext::MatchTail(plan) = decide(Some(&position()), facts, &expired, &policy()).next else {
            panic!("the rest can be compared");
        };
        assert_eq!((plan.source_from, plan.unreadable, plan.countable), (from, 10, false));
        assert_eq!(decide(Some(&position()), facts, &all, &policy()).next, go(from, 210));
    }
    // Epochs of what has expired say nothing.
    let old = EpochEnd { epoch: 7, end_offset: 150 };
    let expired = TargetFacts { log_start: 200, epoch_end: Some(old), ..target() };
    assert_eq!(decide(Some(&position()), &source(), &expired, &policy()).next, go(100, 200));
}

#[test]
fn a_matched_tail_takes_the_leaders_epoch() {
    let facts = SourceFacts { leader_epoch: 6, ..source() };
    let verdict = decide(Some(&position()), &facts, &with_end(210), &policy());
    assert_eq!(verdict.next, tail(100, (200, 210), 0));
    let resolution = verdict.clone().conclude(matched(110, 210)).unwrap();
    assert_eq!((resolution.source_epoch, resolution.leader_epoch, resolution.save), (6, 6, true));
    assert!(resolution.events.contains(&Event::TailMatched { records: 1 }));
    assert_eq!(resolution.matched.len(), 1);
    assert!(verdict.conclude(None).is_err(), "the tail was not compared");
}
