//! Why an offset is left as it is: each class, its cause and its text.

use super::*;

/// The class and the text of what was left alone; nothing is written then.
fn left(work: &GroupWork) -> (RefusalReason, &str) {
    let partition = only(work);
    assert_eq!(partition.write, None, "what is refused is not written");
    let refused = partition.refused.as_ref().expect("it is refused");
    (refused.reason, refused.detail.as_str())
}

#[test]
fn members_on_the_side_that_would_be_written_stop_the_write() {
    let (source, target) = (side(&at_source(), Some(120)), side(&at_target(), None));
    let work = Flow::new(true).judge(source.clone(), busy(target.clone()));
    assert_eq!(
        left(&work),
        (
            RefusalReason::Active,
            "the group has active members; orders-0 stays at 120 and A.orders-0 at none until they have left"
        )
    );
    // Members on the side that is followed are what groups are for.
    let work = Flow::new(true).judge(busy(source.clone()), target.clone());
    assert_eq!(only(&work).write, write(120, 30, Side::Source));
    // Where the broker doesn't tell, the commit itself finds out.
    for state in [None, Some(GroupState::Unknown), Some(GroupState::Dead)] {
        let work = Flow::new(true).judge(source.clone(), SideReading { state, ..target.clone() });
        assert_eq!(only(&work).write, write(120, 30, Side::Source));
    }
}

#[test]
fn two_commits_that_do_not_meet_are_a_conflict() {
    let work = Flow::new(true).judge_empty(Some(120), Some(25));
    assert_eq!(
        left(&work),
        (
            RefusalReason::Conflict,
            "both orders-0 (120) and A.orders-0 (25) were committed, and not to the same place; they were never in \
             step; both are left: delete the group's offsets on the side that is to follow"
        )
    );
    let work = Flow::new(true).in_step(110, 20, Side::Source).judge_empty(Some(120), Some(25));
    assert_eq!(
        left(&work),
        (
            RefusalReason::Conflict,
            "both orders-0 (120) and A.orders-0 (25) were committed, and not to the same place; they were last in \
             step at 110 and 20; both are left: delete the group's offsets on the side that is to follow"
        )
    );
    // Two groups of one name that work on both sides each work for themselves.
    let both = (busy(side(&at_source(), Some(120))), busy(side(&at_target(), Some(25))));
    assert_eq!(left(&Flow::new(true).judge(both.0, both.1)).0, RefusalReason::Active);
}

#[test]
fn a_newer_commit_on_the_target_needs_a_flow_back() {
    let one_way = Flow::new(false).in_step(110, 20, Side::Source).judge_empty(Some(110), Some(35));
    assert_eq!(
        left(&one_way),
        (
            RefusalReason::TargetOwns,
            "the group worked on A.orders-0 (committed 35), and the mesh has no flow back; orders-0 stays at 110"
        )
    );
    let both_ways = Flow::new(true).in_step(110, 20, Side::Source).judge_empty(Some(110), Some(35));
    assert_eq!(only(&both_ways).write, write(125, 35, Side::Target));
}

#[test]
fn a_group_of_the_targets_own_concerns_nobody_without_a_flow_back() {
    let work = Flow::new(false).judge_empty(None, Some(35));
    assert_eq!((only(&work).write, &only(&work).refused), (None, &None));
    let work = Flow::new(true).judge_empty(None, Some(35));
    assert_eq!(only(&work).write, write(125, 35, Side::Target));
}

#[test]
fn a_commit_that_is_gone_on_the_source_does_not_come_back() {
    for back in [false, true] {
        let work = Flow::new(back).in_step(110, 20, Side::Source).judge_empty(None, Some(20));
        assert_eq!(
            left(&work),
            (
                RefusalReason::SourceGone,
                "the commit on orders-0 is gone, the one that it was translated to stays: A.orders-0 at 20"
            )
        );
    }
}

#[test]
fn what_was_mirrored_before_the_map_is_not_guessed() {
    let mut flow = Flow::new(true);
    let work = flow.judge_empty(Some(40), None);
    assert_eq!(
        left(&work),
        (
            RefusalReason::Unknown,
            "orders-0 (40) and A.orders-0 (none): that part was mirrored before there was an offset map"
        )
    );
    assert_eq!(only(&work).facts.forward, Translation::Unknown);
}

#[test]
fn without_a_map_the_partition_waits() {
    let mut flow = Flow::new(true);
    flow.maps.clear();
    let work = flow.judge_empty(Some(120), Some(30));
    assert_eq!(left(&work), (RefusalReason::Pending, "orders-0 has not been looked at yet"));
    assert_eq!(only(&work).mirrored, None);
    assert_eq!(flow.book.groups().count(), 0, "nothing is decided, so nothing is remembered");
}

/// What the cluster refuses of one partition stays with that partition, and comes before what is not known yet.
#[test]
fn a_clusters_refusal_of_a_partition_is_told_as_it_came() {
    for reason in [RefusalReason::Unstable, RefusalReason::Unauthorized, RefusalReason::Unavailable] {
        for with_map in [true, false] {
            let mut flow = Flow::new(true);
            if !with_map {
                flow.maps.clear();
            }
            let refused = SideReading {
                offsets: Ok(vec![(at_source(), Err(refusal(reason)))]),
                ..side(&at_source(), None)
            };
            let work = flow.judge(refused, side(&at_target(), Some(30)));
            assert_eq!(only(&work).refused, Some(refusal(reason)));
            assert_eq!((only(&work).write, only(&work).source_commit.as_ref()), (None, None));
        }
    }
}

#[test]
fn a_group_that_can_not_be_read_is_refused_as_a_whole() {
    let away = |partition| SideReading {
        offsets: Err(refusal(RefusalReason::Unavailable)),
        ..side(partition, None)
    };
    let other = SideReading { offsets: Err(refusal(RefusalReason::Other)), ..side(&at_target(), None) };
    let mut flow = Flow::new(true).in_step(110, 20, Side::Source);
    for (source, target, told) in [
        (away(&at_source()), side(&at_target(), Some(20)), RefusalReason::Unavailable),
        (side(&at_source(), Some(110)), away(&at_target()), RefusalReason::Unavailable),
        (away(&at_source()), other, RefusalReason::Unavailable),
    ] {
        let work = flow.judge(source, target);
        assert_eq!((work.refused, work.partitions), (Some(refusal(told)), vec![]));
    }
    assert_eq!(flow.book.partitions(GROUP).count(), 1, "what is remembered stays");
}

/// Topics that the flow does not mirror are nobody's business here, and remembered partitions are looked at again.
#[test]
fn only_partitions_of_mirrored_topics_are_looked_at() {
    let foreign = |topic: &str| (TopicPartition::new(topic, 0), Ok(commit(5, "")));
    let reading =
        |topic: &str| SideReading { state: Some(GroupState::Empty), offsets: Ok(vec![foreign(topic)]) };
    let mut flow = Flow::new(true);
    assert_eq!(flow.judge(reading("audit"), reading("B.audit")).partitions, vec![]);
    let mut flow = Flow::new(true).in_step(110, 20, Side::Source);
    let work = flow.judge(reading("audit"), reading("B.audit"));
    assert_eq!(only(&work).source, at_source());
    assert_eq!(flow.book.groups().count(), 0, "gone on both sides: forgotten");
}
