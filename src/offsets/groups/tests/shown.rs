//! What is shown: translations with their worth, lags, what would be read again.

use super::*;
use crate::model::groups::{GroupPartitionStatus, Worth};

fn facts() -> PartitionFacts {
    PartitionFacts {
        source: at_source(),
        target: at_target(),
        source_offset: Some(120),
        translation: Translation::Exact(30),
        target_offset: Some(25),
        source_end: Some(170),
        mirrored: Some((150, 60)),
        refused: None,
    }
}

fn redelivery(facts: PartitionFacts) -> Option<i64> {
    facts.into_status().redelivery
}

#[test]
fn a_partition_shows_both_sides() {
    assert_eq!(
        facts().into_status(),
        GroupPartitionStatus {
            source: at_source(),
            target: at_target(),
            source_offset: Some(120),
            source_lag: Some(50),
            translated: Some(30),
            worth: Some(Worth::Exact),
            target_offset: Some(25),
            target_lag: Some(35),
            redelivery: Some(5),
            refused: None,
        }
    );
}

#[test]
fn lags_are_not_negative_and_unknown_without_an_end() {
    let ahead = PartitionFacts { source_end: Some(100), mirrored: Some((150, 10)), ..facts() }.into_status();
    assert_eq!((ahead.source_lag, ahead.target_lag), (Some(0), Some(0)));
    let unknown = PartitionFacts { source_end: None, mirrored: None, ..facts() }.into_status();
    assert_eq!((unknown.source_lag, unknown.target_lag), (None, None));
}

#[test]
fn a_failover_reads_again_what_is_there_and_what_is_not_mirrored_yet() {
    assert_eq!(redelivery(facts()), Some(5), "30 − 25 on the target");
    let beyond =
        PartitionFacts { source_offset: Some(157), translation: Translation::EarliestSafe(60), ..facts() };
    assert_eq!(redelivery(beyond), Some(35 + 7), "and 157 − 150 that is not there yet");
    let ahead = PartitionFacts { target_offset: Some(90), ..facts() };
    assert_eq!(redelivery(ahead), Some(0), "the target is ahead: nothing is read again");
}

#[test]
fn what_would_be_read_again_is_not_guessed() {
    for unknown in [
        PartitionFacts { translation: Translation::Unknown, ..facts() },
        PartitionFacts { target_offset: None, ..facts() },
        PartitionFacts { source_offset: None, ..facts() },
        PartitionFacts { mirrored: None, ..facts() },
    ] {
        assert_eq!(redelivery(unknown.clone()), None, "{unknown:?}");
    }
}

#[test]
fn without_a_commit_on_the_source_nothing_is_translated() {
    let shown =
        PartitionFacts { source_offset: None, translation: Translation::Unknown, ..facts() }.into_status();
    assert_eq!((shown.translated, shown.worth, shown.source_lag), (None, None, None));
    assert_eq!(shown.target_lag, Some(35));
    let unknown = PartitionFacts { translation: Translation::Unknown, ..facts() }.into_status();
    assert_eq!((unknown.translated, unknown.worth), (None, Some(Worth::Unknown)));
}

#[test]
fn a_group_is_in_step_since_now_or_as_long_as_before() {
    let mut flow = Flow::new(true).in_step(120, 30, Side::Source);
    let work = flow.judge_empty(Some(120), Some(30));
    let shown = work.into_status(|_| Some(170), Some(5), NOW).unwrap();
    assert_eq!((shown.last_sync_ms, shown.refused), (Some(NOW), None));
    assert_eq!((shown.source_state.as_str(), shown.target_state.as_str()), ("empty", "empty"));
    assert_eq!(shown.partitions[0].source_lag, Some(50));

    let work = flow.judge(busy(side(&at_source(), Some(130))), busy(side(&at_target(), Some(33))));
    let shown = work.into_status(|_| None, Some(5), NOW).unwrap();
    assert_eq!(shown.last_sync_ms, Some(5));
    let refused = shown.refused.expect("the first reason of its partitions");
    assert_eq!((refused.reason, shown.source_state.as_str()), (RefusalReason::Active, "stable"));
    assert_eq!(shown.partitions[0].refused, Some(refused));
}

#[test]
fn a_group_with_nothing_to_show_is_not_shown() {
    let nothing = Flow::new(true).judge_empty(None, None);
    assert_eq!(nothing.into_status(|_| None, None, NOW), None);
    let away = SideReading { state: None, offsets: Err(refusal(RefusalReason::Unavailable)) };
    let shown = Flow::new(true).judge(away.clone(), away).into_status(|_| None, None, NOW).unwrap();
    assert_eq!((shown.partitions.len(), shown.refused), (0, Some(refusal(RefusalReason::Unavailable))));
    assert_eq!((shown.source_state.as_str(), shown.target_state.as_str()), ("absent", "absent"));
}

/// Without sync the target is not asked: only what the source has is shown.
#[test]
fn a_group_that_is_only_read_shows_its_source() {
    let map = map();
    let translate = |_: &TopicPartition, offset: i64| map.forward(offset);
    let read = busy(SideReading {
        offsets: Ok(vec![
            (at_source(), Ok(commit(120, "m"))),
            (TopicPartition::new("orders", 1), Err(refusal(RefusalReason::Unstable))),
            (TopicPartition::new("audit", 0), Ok(commit(1, ""))),
        ]),
        ..side(&at_source(), None)
    });
    let reading = GroupReading::of(GROUP, &read, &topics(), translate);
    let [offset] = reading.offsets.as_slice() else { panic!("{reading:?}") };
    assert_eq!((&offset.target, offset.translation), (&at_target(), Translation::Exact(30)));
    let shown = reading.into_status(|_| Some(170));
    assert_eq!((shown.source_state.as_str(), shown.target_state.as_str()), ("stable", "unknown"));
    let expected = PartitionFacts { target_offset: None, mirrored: None, ..facts() }.into_status();
    assert_eq!((shown.partitions, shown.refused), (vec![expected], None));
}

#[test]
fn a_group_that_can_not_be_read_says_so() {
    let away = SideReading { state: None, offsets: Err(refusal(RefusalReason::Other)) };
    let reading = GroupReading::of(GROUP, &away, &topics(), |_, _| Translation::Unknown);
    assert_eq!((reading.state.clone(), reading.offsets.len()), (GroupState::Dead, 0));
    let refused = reading.into_status(|_| None).refused.expect("it is refused");
    assert_eq!(
        (refused.reason, refused.detail.as_str()),
        (RefusalReason::Unavailable, "the cluster says other")
    );
}

#[test]
fn states_are_the_brokers_words_in_lower_case() {
    let active = GroupState::Active("PreparingRebalance".to_owned());
    for (state, text) in [
        (None, "absent"),
        (Some(&GroupState::Empty), "empty"),
        (Some(&GroupState::Dead), "dead"),
        (Some(&GroupState::Unknown), "unknown"),
        (Some(&active), "preparingrebalance"),
    ] {
        assert_eq!(state_text(state), text);
    }
}
