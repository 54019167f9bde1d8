//! Writes: kept within the logs, planned before they are sent, settled by what became of them.

use super::*;
use crate::offsets::sync::{REFRESH_MS, SyncMemory};

/// A group whose target is to follow: 120 is 30 there.
fn behind() -> (Flow, GroupWork) {
    let mut flow = Flow::new(true);
    let work = flow.judge_empty(Some(120), None);
    assert_eq!(only(&work).write, write(120, 30, Side::Source));
    (flow, work)
}

fn remembered(flow: &Flow) -> SyncMemory {
    flow.book.get(GROUP, &at_source())
}

fn pair(source: i64, target: i64) -> SyncPair {
    SyncPair { source, target, owner: Side::Source }
}

#[test]
fn a_write_is_remembered_as_planned_and_then_as_done() {
    let (mut flow, mut work) = behind();
    assert_eq!(remembered(&flow).planned, None, "not before it is certain to be sent");
    work.plan(&mut flow.book);
    assert_eq!(remembered(&flow).planned, Some(pair(120, 30)));
    let none = work.settle(&mut flow.book, Side::Source, |_| WriteOutcome::Written, NOW);
    assert_eq!((none, only(&work).write.is_some()), (0, true), "the source is not written");
    let done = work.settle(
        &mut flow.book,
        Side::Target,
        |partition| {
            assert_eq!(*partition, at_target());
            WriteOutcome::Written
        },
        NOW,
    );
    assert_eq!(done, 1);
    let memory = SyncMemory { synced: Some(pair(120, 30)), planned: None, written_ms: NOW };
    assert_eq!(remembered(&flow), memory);
    let partition = only(&work);
    assert_eq!((partition.write, &partition.refused), (None, &None));
    let written = Committed { offset: 30, leader_epoch: -1, metadata: "by the group".to_owned() };
    assert_eq!(partition.target_commit, Some(written), "with the text that was committed beside it");
}

#[test]
fn a_write_back_carries_the_targets_text() {
    let mut flow = Flow::new(true).in_step(110, 20, Side::Source);
    let mut work = flow.judge_empty(Some(110), Some(35));
    work.plan(&mut flow.book);
    assert_eq!(only(&work).metadata(Side::Target), "by the group");
    assert_eq!(work.settle(&mut flow.book, Side::Source, |_| WriteOutcome::Written, NOW), 1);
    assert_eq!(only(&work).source_commit.as_ref().map(|c| c.offset), Some(125));
}

#[test]
fn a_refused_write_is_forgotten_only_if_it_certainly_did_not_arrive() {
    for (certain, planned) in [(true, None), (false, Some(pair(120, 30)))] {
        let (mut flow, mut work) = behind();
        work.plan(&mut flow.book);
        let refusal = refusal(RefusalReason::Active);
        let outcome = WriteOutcome::Refused { refusal: refusal.clone(), certain };
        assert_eq!(work.settle(&mut flow.book, Side::Target, |_| outcome.clone(), NOW), 0);
        assert_eq!((only(&work).write, &only(&work).refused), (None, &Some(refusal)));
        assert_eq!(remembered(&flow).planned, planned);
        assert_eq!(only(&work).target_commit, None);
    }
}

#[test]
fn an_answer_that_leaves_a_write_out_leaves_it_planned() {
    let (mut flow, mut work) = behind();
    work.plan(&mut flow.book);
    assert_eq!(work.settle(&mut flow.book, Side::Target, |_| WriteOutcome::Unanswered, NOW), 0);
    let detail = "the broker's answer leaves out A.orders-0".to_owned();
    assert_eq!(only(&work).refused, Some(GroupRefusal { reason: RefusalReason::Unavailable, detail }));
    assert_eq!(remembered(&flow).planned, Some(pair(120, 30)));
}

#[test]
fn what_can_not_be_noted_is_not_written() {
    let (mut flow, mut work) = behind();
    work.plan(&mut flow.book);
    work.give_up(&mut flow.book, "west does not answer");
    let detail =
        "what is about to be committed can't be noted, so nothing is: west does not answer".to_owned();
    assert_eq!(only(&work).refused, Some(GroupRefusal { reason: RefusalReason::NotRemembered, detail }));
    assert_eq!((work.writes().count(), remembered(&flow).planned), (0, None));
}

#[test]
fn a_write_stays_within_the_log_that_it_points_into() {
    let bounded = |start: i64, end: i64| {
        let (mut flow, mut work) = behind();
        let bounds = |side: Side, partition: &TopicPartition| {
            assert_eq!((side, partition), (Side::Target, &at_target()));
            Some(Ok((start, end)))
        };
        work.keep_within(&mut flow.book, bounds, NOW);
        only(&work).write.map(|(pair, _)| pair.target)
    };
    assert_eq!(bounded(0, 60), Some(30));
    assert_eq!(bounded(40, 60), Some(40), "what lies before was deleted");
    assert_eq!(bounded(0, 12), Some(12), "the end was lost");
}

#[test]
fn a_bounded_write_that_changes_nothing_is_none() {
    let mut flow = Flow::new(true).in_step(110, 25, Side::Source);
    let mut work = flow.judge_empty(Some(120), Some(25));
    work.keep_within(&mut flow.book, |_, _| Some(Ok((0, 25))), NOW);
    assert_eq!((only(&work).write, &only(&work).refused), (None, &None));
    assert_eq!(remembered(&flow).synced, Some(pair(120, 25)), "both sides are in step there");
    // The daily repeat is a write although it changes nothing.
    let mut flow = Flow::new(true).in_step(120, 30, Side::Source);
    let old = SyncMemory { written_ms: NOW - REFRESH_MS, ..remembered(&flow) };
    flow.book.set(GROUP, &at_source(), old);
    let mut work = flow.judge_empty(Some(120), Some(30));
    work.keep_within(&mut flow.book, |_, _| Some(Ok((0, 60))), NOW);
    assert_eq!(only(&work).write, Some((pair(120, 30), true)));
}

#[test]
fn a_log_that_is_not_told_is_not_written() {
    let (mut flow, mut work) = behind();
    work.keep_within(&mut flow.book, |_, _| Some(Err(refusal(RefusalReason::Unauthorized))), NOW);
    assert_eq!(
        (only(&work).write, &only(&work).refused),
        (None, &Some(refusal(RefusalReason::Unauthorized)))
    );
    let (mut flow, mut work) = behind();
    work.keep_within(&mut flow.book, |_, _| None, NOW);
    assert_eq!((only(&work).write, &only(&work).refused), (None, &None));
}
