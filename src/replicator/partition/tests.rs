//! Tests of the machine, rule by rule; the simulation puts the rules together.

mod driver;

use super::*;
use crate::model::WriteErrorClass;
use crate::model::status::PartitionState as State;
use driver::{Driver, batch, fault, gap, reports, resolution, saved};

#[test]
fn an_idle_partition_has_no_deadline() {
    let mut driver = Driver::streaming();
    assert_eq!(driver.machine.deadline(), None);
    assert_eq!(driver.fetch(10, 5), [PartitionOutput::Write]);
    assert_eq!(driver.machine.in_flight_bytes(), 100);
    assert_eq!(saved(&driver.ack(10, 20, 5)), Some((15, 25, false)), "the first after a long rest");
    assert_eq!(driver.machine.deadline(), None, "nothing to do until the store answers");
    driver.tell(PartitionInput::PositionSaved);
    assert_eq!((driver.machine.deadline(), driver.machine.in_flight_bytes()), (None, 0));
}

#[test]
fn nothing_is_fetched_before_the_position_is_durable() {
    let mut driver = Driver::new();
    driver.tell(PartitionInput::Start);
    driver.tell(PartitionInput::LaneOpened);
    let out = driver.tell(PartitionInput::Resolved(Box::new(resolution(true))));
    assert_eq!((out.len(), saved(&out)), (1, Some((10, 20, false))));
    assert_eq!(driver.fetch(10, 1), [PartitionOutput::Discard]);
    let out = driver.tell(PartitionInput::PositionFailed(fault("store")));
    assert_eq!(reports(&out), [Event::Faulted(fault("store"))]);
    assert_eq!(driver.machine.state(), State::Faulted);
    assert_eq!(saved(&driver.tick()), Some((10, 20, false)));
    let out = driver.tell(PartitionInput::PositionSaved);
    assert_eq!(
        out,
        [PartitionOutput::Report(Event::Recovered), PartitionOutput::Fetch { offset: 10, leader_epoch: 3 }]
    );
}

#[test]
fn positions_are_saved_once_an_interval_or_after_many_bytes() {
    let mut driver = Driver::streaming();
    for base in [10, 11, 12, 13] {
        driver.fetch(base, 1);
    }
    assert!(saved(&driver.ack(10, 20, 1)).is_some());
    assert_eq!(saved(&driver.ack(11, 21, 1)), None, "one save is under way");
    driver.tell(PartitionInput::PositionSaved);
    assert_eq!(saved(&driver.ack(12, 22, 1)), None, "the interval has not passed");
    assert_eq!(driver.machine.deadline(), Some(driver.now + Duration::from_secs(1)));
    assert_eq!(saved(&driver.tick()), Some((13, 23, false)));
    driver.tell(PartitionInput::PositionSaved);
    assert_eq!(saved(&driver.ack(13, 23, 1)), None);
    let large = BatchInfo { bytes: 64 << 20, ..batch(14, 1) };
    driver.tell(PartitionInput::Fetched(large));
    assert_eq!(saved(&driver.ack(14, 24, 1)), Some((15, 25, false)));
}

#[test]
fn a_save_that_failed_is_asked_for_again_at_its_deadline() {
    for after_ms in [0, 900, 5_000] {
        let mut driver = Driver::streaming();
        driver.fetch(10, 1);
        assert!(saved(&driver.ack(10, 20, 1)).is_some());
        driver.now += Duration::from_millis(after_ms);
        driver.tell(PartitionInput::PositionFailed(fault("store")));
        assert_eq!(saved(&driver.tick()), Some((11, 21, false)), "no deadline comes in vain");
    }
}

#[test]
fn saved_positions_become_anchors() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 5);
    let out = driver.ack(10, 20, 5);
    let Some(PartitionOutput::SavePosition(position)) = out.first() else { panic!("{out:?}") };
    assert_eq!(position.anchors.as_slice()[0].target, 25);
    assert_eq!(position.remote_topic.as_str(), "a.orders");
}

#[test]
fn ranges_without_records_wait_for_the_writes_before_them() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 5);
    assert_eq!(driver.tell(gap(15, 3, 3)), [PartitionOutput::Discard]);
    assert_eq!(driver.at(), (Some(10), Some(20)));
    driver.ack(10, 20, 5);
    assert_eq!(driver.at(), (Some(18), Some(25)));
}

#[test]
fn the_position_waits_before_a_range_whose_epoch_is_unknown() {
    let mut driver = Driver::streaming();
    driver.tell(gap(10, 3, -1));
    let held = |driver: &Driver| driver.machine.position().map(|position| position.source_next);
    assert_eq!((driver.machine.source_next(), held(&driver)), (Some(13), Some(10)));
    driver.bounds(12);
    assert_eq!(held(&driver), Some(10), "the leader's log must cover it");
    driver.bounds(13);
    assert_eq!(held(&driver), Some(13));
    // A later leader may have another history.
    driver.tell(gap(13, 1, -1));
    let out = driver.tell(PartitionInput::Bounds { end: 14, leader_epoch: 4 });
    assert!(out.contains(&PartitionOutput::StopFetch), "{out:?}");
    assert_eq!(held(&driver), Some(13));
}

#[test]
fn a_batch_out_of_place_is_dropped_and_the_partition_resolves() {
    for base in [9, 11] {
        let mut driver = Driver::streaming();
        let out = driver.fetch(base, 5);
        assert_eq!(
            out,
            [PartitionOutput::Discard, PartitionOutput::StopFetch, PartitionOutput::OpenLane(Generation(6))]
        );
        assert_eq!(driver.machine.state(), State::Resolving);
    }
}

#[test]
fn what_moves_again_at_once_waits() {
    let mut driver = Driver::streaming();
    driver.tell(PartitionInput::SourceMoved);
    driver.resolve();
    assert_eq!(driver.tell(PartitionInput::SourceMoved), [PartitionOutput::StopFetch]);
    assert_eq!(driver.machine.state(), State::Waiting);
    assert_eq!(driver.tick(), [PartitionOutput::OpenLane(Generation(7))]);
    driver.resolve();
    driver.bounds(10);
    let out = driver.tell(PartitionInput::SourceMoved);
    assert_eq!(
        out,
        [PartitionOutput::StopFetch, PartitionOutput::OpenLane(Generation(8))],
        "there was progress between"
    );
}

#[test]
fn what_is_in_flight_is_finished_when_a_side_moves() {
    for moved in [PartitionInput::SourceMoved, PartitionInput::TargetMoved] {
        let mut driver = Driver::streaming();
        driver.fetch(10, 5);
        assert_eq!(driver.tell(moved), [PartitionOutput::StopFetch]);
        let out = driver.ack(10, 20, 5);
        assert!(out.contains(&PartitionOutput::OpenLane(Generation(6))), "{out:?}");
        assert_eq!(driver.at(), (Some(15), Some(25)));
    }
}

#[test]
fn what_moves_during_a_resolution_is_looked_at_again() {
    let mut driver = Driver::new();
    driver.tell(PartitionInput::Start);
    driver.tell(PartitionInput::LaneOpened);
    assert_eq!(driver.tell(PartitionInput::TargetMoved), []);
    assert_eq!(
        driver.tell(PartitionInput::Resolved(Box::new(resolution(true))))[0],
        PartitionOutput::Resolve
    );
    let out = driver.tell(PartitionInput::Resolved(Box::new(resolution(false))));
    assert!(
        !out.iter().any(|output| matches!(output, PartitionOutput::Fetch { .. })),
        "not durable yet: {out:?}"
    );
}

#[test]
fn another_writer_is_reported_and_accepted() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 4);
    let segments = vec![
        Segment { source_base: 10, target_base: 22, count: 2 },
        Segment { source_base: 12, target_base: 25, count: 2 },
    ];
    let out = driver.tell(PartitionInput::Acknowledged { source_next: 14, target_next: Some(27), segments });
    let foreign = |from, to| Event::ForeignRecords { from, to };
    assert_eq!(reports(&out), [foreign(20, 22), foreign(24, 25)]);
    assert_eq!(driver.at(), (Some(14), Some(27)));
}

#[test]
fn a_base_offset_below_the_expected_is_lost_data() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 4);
    driver.fetch(14, 1);
    let out = driver.ack(10, 15, 4);
    assert_eq!(reports(&out), [Event::TargetLost { from: 15, to: 20 }]);
    assert_eq!((driver.machine.lost_from(), driver.at()), (Some(15), (Some(10), Some(20))));
    assert_eq!(driver.ack(14, 19, 1), [], "what was in flight is void");
    assert!(driver.tick().contains(&PartitionOutput::OpenLane(Generation(6))));
    driver.resolve();
    assert_eq!(driver.machine.lost_from(), None);
}

#[test]
fn the_offset_map_hears_of_what_counts_and_before_the_position() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 4);
    driver.tell(gap(14, 2, 3));
    driver.fetch(16, 1);
    driver.fetch(17, 1);
    let segment = Segment { source_base: 10, target_base: 20, count: 4 };
    let mut out = Vec::new();
    let segments = vec![segment];
    let acknowledged = PartitionInput::Acknowledged { source_next: 14, target_next: Some(24), segments };
    driver.machine.handle(driver.now, acknowledged, &mut out);
    let told = PartitionOutput::Mirrored { source_next: 14, segments: vec![segment] };
    assert_eq!(out[0], told, "{out:?}");
    assert!(out.iter().any(|output| matches!(output, PartitionOutput::SavePosition(_))), "{out:?}");
    assert!(out.contains(&PartitionOutput::Mirrored { source_next: 16, segments: Vec::new() }), "{out:?}");
    // What is not where it should be, and what is void after it, is left out.
    driver.ack(16, 15, 1);
    driver.ack(17, 24, 1);
    assert_eq!(driver.mirrored, []);
}

#[test]
fn a_position_that_names_lost_records_is_not_saved() {
    let mut driver = Driver::streaming();
    for base in [10, 11, 12] {
        driver.fetch(base, 1);
    }
    driver.ack(10, 20, 1);
    driver.tell(PartitionInput::PositionSaved);
    driver.ack(11, 21, 1);
    driver.ack(12, 15, 1);
    driver.now += Duration::from_secs(60);
    assert_eq!(driver.tell(PartitionInput::Tick), [PartitionOutput::OpenLane(Generation(6))]);
    assert_eq!(driver.machine.deadline(), None);
    assert_eq!(driver.tell(PartitionInput::Drain), [PartitionOutput::Stopped]);
}

#[test]
fn a_save_under_way_does_not_stand_for_a_later_resolution() {
    let mut driver = Driver::new();
    driver.tell(PartitionInput::Start);
    driver.tell(PartitionInput::LaneOpened);
    assert!(saved(&driver.tell(PartitionInput::Resolved(Box::new(resolution(true))))).is_some());
    driver.tell(PartitionInput::SourceMoved);
    driver.tell(PartitionInput::LaneOpened);
    // The same offsets, of another topic.
    assert_eq!(driver.tell(PartitionInput::Resolved(Box::new(resolution(true)))), []);
    assert!(saved(&driver.tell(PartitionInput::PositionSaved)).is_some());
    let out = driver.tell(PartitionInput::PositionSaved);
    assert_eq!(out, [PartitionOutput::Fetch { offset: 10, leader_epoch: 3 }]);
}

#[test]
fn an_acknowledgement_out_of_turn_is_a_fault() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 2);
    driver.fetch(12, 2);
    let out = driver.ack(12, 20, 2);
    assert!(matches!(reports(&out)[..], [Event::Faulted(_)]), "{out:?}");
    assert_eq!(driver.at(), (Some(10), Some(20)));
}

#[test]
fn a_refused_batch_shows_until_it_is_taken_and_is_told_once() {
    let mut driver = Driver::streaming();
    for round in 0..3 {
        driver.fetch(10, 1);
        let failed =
            PartitionInput::WriteFailed { class: WriteErrorClass::Refuse, fault: fault("too large") };
        let out = driver.tell(failed);
        assert_eq!(reports(&out).len(), usize::from(round == 0));
        assert_eq!(driver.machine.state(), State::Faulted);
        let wait = driver.machine.retry_at().expect("a retry") - driver.now;
        assert!(wait >= Duration::from_secs(15), "a person has to act: {wait:?}");
        driver.tick();
        driver.resolve();
        assert_eq!(driver.machine.state(), State::Faulted, "until there is progress");
        assert_eq!(driver.machine.fault(), Some(&fault("too large")));
    }
    driver.fetch(10, 1);
    assert_eq!(reports(&driver.ack(10, 20, 1)), [Event::Recovered]);
    assert_eq!((driver.machine.state(), driver.machine.fault()), (State::Streaming, None));
}

#[test]
fn a_quiet_partition_recovers_too() {
    let mut driver = Driver::new();
    driver.tell(PartitionInput::Start);
    driver.tell(PartitionInput::LaneOpened);
    assert_eq!(driver.tell(PartitionInput::ResolveFailed(fault("missing"))).len(), 1);
    driver.tick();
    driver.resolve();
    assert_eq!(driver.bounds(11), [], "there is something to mirror yet");
    assert_eq!(reports(&driver.bounds(10)), [Event::Recovered]);
}

#[test]
fn waits_grow_and_start_short_again_after_progress() {
    let mut driver = Driver::streaming();
    let wait = |driver: &mut Driver| {
        driver.fetch(10, 1);
        driver.tell(PartitionInput::WriteFailed { class: WriteErrorClass::Retry, fault: fault("busy") });
        assert_eq!(driver.machine.state(), State::Waiting);
        let wait = driver.machine.retry_at().expect("a retry") - driver.now;
        driver.tick();
        driver.resolve();
        wait
    };
    let waits: Vec<_> = (0..9).map(|_| wait(&mut driver)).collect();
    assert!(waits[0] <= Duration::from_secs(1) && waits[8] >= Duration::from_secs(15), "{waits:?}");
    driver.bounds(10);
    assert!(wait(&mut driver) <= Duration::from_secs(1));
}

#[test]
fn a_lost_session_voids_what_is_in_flight_and_waits_for_the_next() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 1);
    let out = driver.tell(PartitionInput::SessionLost("reset".to_owned()));
    assert_eq!(out, [PartitionOutput::StopFetch, PartitionOutput::OpenLane(Generation(6))]);
    assert_eq!((driver.machine.state(), driver.machine.in_flight_bytes()), (State::Waiting, 0));
    assert_eq!(driver.machine.reason().as_deref(), Some("engine session: reset"));
    assert_eq!(driver.tell(PartitionInput::SessionLost("again".to_owned())), [], "not without end");
    assert_eq!(driver.tick(), [PartitionOutput::OpenLane(Generation(7))]);
    driver.resolve();
}

#[test]
fn a_source_that_hiccups_leaves_writes_alone() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 2);
    driver.tell(PartitionInput::SourceFailed { fault: fault("away"), retry: true });
    assert_eq!(driver.machine.state(), State::Waiting);
    driver.ack(10, 20, 2);
    assert_eq!(driver.at(), (Some(12), Some(22)));
    driver.tell(PartitionInput::PositionSaved);
    assert_eq!(driver.tick(), [PartitionOutput::Fetch { offset: 12, leader_epoch: 3 }]);
}

#[test]
fn fetching_starts_again_before_a_range_whose_epoch_is_unknown() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 2);
    driver.tell(gap(12, 3, -1));
    driver.tell(PartitionInput::SourceFailed { fault: fault("away"), retry: true });
    assert_eq!(driver.tick(), [PartitionOutput::Fetch { offset: 12, leader_epoch: 3 }]);
    assert_eq!(driver.tell(gap(12, 3, -1)), [PartitionOutput::Discard]);
    assert_eq!(driver.fetch(15, 1), [PartitionOutput::Write]);
    driver.ack(10, 20, 2);
    driver.ack(15, 22, 1);
    assert_eq!(driver.at(), (Some(16), Some(23)));
}

#[test]
fn a_source_that_refuses_is_a_fault() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 2);
    let out = driver.tell(PartitionInput::SourceFailed { fault: fault("not authorised"), retry: false });
    assert_eq!(reports(&out).len(), 1);
    assert_eq!(driver.machine.state(), State::Faulted);
    driver.ack(10, 20, 2);
    assert_eq!(driver.at(), (Some(12), Some(22)), "writes in flight still count");
}

#[test]
fn lag_without_progress_is_a_fault_unless_there_is_no_credit() {
    let mut driver = Driver::streaming();
    driver.bounds(15);
    driver.tell(PartitionInput::CreditBlocked(true));
    assert_eq!(driver.machine.deadline(), None);
    driver.bounds(15);
    assert_eq!(driver.machine.deadline(), None);
    driver.tell(PartitionInput::CreditBlocked(false));
    driver.bounds(15);
    driver.fetch(10, 1);
    assert_eq!(driver.machine.deadline(), None, "the target's turn");
    driver.ack(10, 20, 1);
    driver.tell(PartitionInput::PositionSaved);
    driver.bounds(15);
    assert_eq!(driver.machine.deadline(), Some(driver.now + STALL));
    let out = driver.tick();
    assert!(
        matches!(&reports(&out)[..], [Event::Faulted(fault)] if fault.kind == FaultKind::NoProgress),
        "{out:?}"
    );
    assert_eq!(driver.tick(), [PartitionOutput::OpenLane(Generation(6))]);
}

#[test]
fn a_pause_stops_fetching_only() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 2);
    assert_eq!(driver.tell(PartitionInput::Pause), [PartitionOutput::StopFetch]);
    assert_eq!(driver.machine.state(), State::Paused);
    assert_eq!(driver.fetch(12, 1), [PartitionOutput::Discard]);
    driver.ack(10, 20, 2);
    assert_eq!(driver.at(), (Some(12), Some(22)));
    assert_eq!(driver.tell(PartitionInput::Resume), [PartitionOutput::Fetch { offset: 12, leader_epoch: 3 }]);
}

#[test]
fn a_paused_partition_resolves_and_stays_paused() {
    let mut driver = Driver::new();
    driver.tell(PartitionInput::Start);
    driver.tell(PartitionInput::Pause);
    driver.tell(PartitionInput::LaneOpened);
    assert_eq!(driver.tell(PartitionInput::Resolved(Box::new(resolution(false)))), []);
    assert_eq!(driver.machine.state(), State::Paused);
}

#[test]
fn a_drain_ends_clean() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 2);
    assert_eq!(driver.tell(PartitionInput::Drain), [PartitionOutput::StopFetch]);
    assert_eq!(driver.machine.state(), State::Draining);
    assert_eq!(saved(&driver.ack(10, 20, 2)), Some((12, 22, true)));
    assert_eq!(driver.tell(PartitionInput::PositionSaved), [PartitionOutput::Stopped]);
    assert_eq!(driver.machine.state(), State::Stopped);
    assert_eq!(driver.fetch(12, 1), [PartitionOutput::Discard]);
}

#[test]
fn a_drain_waits_for_the_store() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 1);
    driver.fetch(11, 1);
    assert!(saved(&driver.ack(10, 20, 1)).is_some());
    driver.tell(PartitionInput::Drain);
    assert_eq!(driver.ack(11, 21, 1), [], "one save at a time");
    assert_eq!(saved(&driver.tell(PartitionInput::PositionSaved)), Some((12, 22, true)));
    driver.tell(PartitionInput::PositionFailed(fault("store")));
    assert_eq!(saved(&driver.tick()), Some((12, 22, true)));
    assert_eq!(driver.tell(PartitionInput::PositionSaved).last(), Some(&PartitionOutput::Stopped));
}

#[test]
fn a_drain_without_a_live_lane_stops_at_once_and_not_clean() {
    let mut driver = Driver::new();
    driver.tell(PartitionInput::Start);
    assert_eq!(driver.tell(PartitionInput::Drain), [PartitionOutput::Stopped]);

    let mut driver = Driver::streaming();
    driver.fetch(10, 1);
    driver.fetch(11, 1);
    driver.ack(10, 20, 1);
    driver.tell(PartitionInput::PositionSaved);
    driver.ack(11, 21, 1);
    driver.tell(PartitionInput::SessionLost("reset".to_owned()));
    let out = driver.tell(PartitionInput::Drain);
    assert_eq!((saved(&out), out.last()), (Some((12, 22, false)), Some(&PartitionOutput::Stopped)));
}

#[test]
fn a_write_that_fails_in_a_drain_ends_it_unclean() {
    for input in [
        PartitionInput::WriteFailed { class: WriteErrorClass::Retry, fault: fault("busy") },
        PartitionInput::SessionLost("reset".to_owned()),
    ] {
        let mut driver = Driver::streaming();
        driver.fetch(10, 1);
        driver.tell(PartitionInput::Drain);
        assert_eq!(driver.tell(input), [PartitionOutput::Stopped]);
    }
}

#[test]
fn resuming_tries_a_faulted_partition_at_once() {
    let mut driver = Driver::streaming();
    driver.fetch(10, 1);
    driver.tell(PartitionInput::WriteFailed { class: WriteErrorClass::Refuse, fault: fault("too large") });
    assert_eq!(driver.tell(PartitionInput::Resume), [PartitionOutput::OpenLane(Generation(6))]);
}
