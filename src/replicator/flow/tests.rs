//! Tests of the flow's machine, rule by rule; the simulation puts the rules together.

mod driver;

use super::*;
use crate::formats::Token;
use crate::model::status::UpstreamStatus;
use crate::model::{Event, FaultKind, Generation};
use driver::{Driver, away, cluster, ended, fault, other_claim, partition, ready, start_of, started, told};

#[test]
fn a_flow_waits_for_both_clusters_then_claims() {
    let mut driver = Driver::new();
    assert_eq!(driver.machine.state(), FlowState::Starting);
    let there = std::mem::take(&mut driver.source);
    assert_eq!(driver.look(), []);
    assert_eq!(driver.machine.reason().as_deref(), Some("waits for cluster S: no answer yet"));
    driver.source = away(&there);
    assert_eq!(driver.look(), []);
    assert_eq!(driver.machine.state(), FlowState::Waiting);
    assert_eq!(driver.machine.reason().as_deref(), Some("waits for cluster S: connection refused"));
    driver.source = there;
    assert_eq!(driver.look(), [FlowOutput::Claim { attempt: 1 }]);
    assert_eq!(driver.machine.reason().as_deref(), Some("reads its positions"));
    let out = driver.tell(FlowInput::Claimed { attempt: 1, token: Token(40) });
    assert_eq!(
        out,
        [
            FlowOutput::StartStore { token: Token(40) },
            FlowOutput::StartJobs,
            FlowOutput::StartSession(Generation(1)),
            FlowOutput::Reconcile { number: 1, refused: Default::default() },
        ]
    );
    assert_eq!((driver.machine.state(), driver.machine.reason()), (FlowState::Running, None));
}

#[test]
fn a_flow_within_one_cluster_is_refused() {
    let mut driver = Driver::new();
    driver.target = cluster("s", &[]);
    let out = driver.look();
    assert!(matches!(&out[..], [FlowOutput::Note(Note::Refused(why))] if why.contains("one cluster (id s)")));
    assert_eq!(driver.machine.state(), FlowState::Faulted);
    assert_eq!(driver.tell(FlowInput::Drain { limit: UPKEEP }), [FlowOutput::Stopped { left_behind: 0 }]);
}

#[test]
fn a_failed_claim_is_tried_again_after_a_while_or_when_its_cluster_is_back() {
    let mut driver = Driver::new();
    driver.look();
    let failed =
        |attempt| FlowInput::ClaimFailed { attempt, needs_person: true, reason: "no right".to_owned() };
    assert_eq!(driver.tell(failed(0)), [], "not the newest attempt");
    let out = driver.tell(failed(1));
    assert!(matches!(&out[..], [FlowOutput::Note(Note::ClaimFailed { .. })]), "{out:?}");
    assert_eq!(driver.machine.state(), FlowState::Faulted);
    assert_eq!(driver.machine.reason().as_deref(), Some("no right"));
    driver.target = cluster("t", &[]);
    assert_eq!(driver.look(), [], "a change of the catalogue mends nothing");
    assert_eq!(driver.tick(), [FlowOutput::Claim { attempt: 2 }]);
    driver.tell(failed(2));
    let there = std::mem::replace(&mut driver.target, away(&cluster("t", &[])));
    assert_eq!(driver.look(), []);
    assert_eq!(driver.machine.deadline(), None, "the look will tell");
    driver.target = there;
    assert_eq!(driver.look(), [FlowOutput::Claim { attempt: 3 }]);
}

/// A claim lost between claimed and running starts nothing (R3).
#[test]
fn nothing_starts_once_the_claim_is_lost() {
    let mut driver = Driver::new();
    driver.look();
    let out = driver.tell(other_claim());
    assert!(matches!(&out[..], [FlowOutput::Note(Note::GaveUp(_))]), "{out:?}");
    assert_eq!(driver.tell(FlowInput::Claimed { attempt: 1, token: Token(40) }), []);

    let mut driver = Driver::claimed();
    let out = driver.tell(other_claim());
    assert!(out.contains(&FlowOutput::StopJobs), "{out:?}");
    assert!(out.iter().any(|output| matches!(output, FlowOutput::CloseSession { .. })), "{out:?}");
    assert_eq!(driver.reconciled(1, ready(&[("a", 2)])), []);
    driver.source = cluster("s", &[("b", 9, &[0])]);
    assert_eq!(driver.look(), []);
    assert_eq!(driver.tell(FlowInput::SessionClosed(Generation(1))), []);
    assert_eq!(driver.machine.deadline(), None);
    assert_eq!(driver.machine.state(), FlowState::Stopped);
    let reason = "claimed by process p2 (pid 7 on h); this process left it alone";
    assert_eq!(driver.machine.reason().as_deref(), Some(reason));
    let out = driver.tell(FlowInput::Drain { limit: UPKEEP });
    assert!(matches!(out[..], [FlowOutput::DrainStore { .. }]), "{out:?}");
    assert_eq!(driver.tell(FlowInput::StoreDrained), [FlowOutput::Stopped { left_behind: 0 }]);
}

#[test]
fn partitions_of_a_lost_claim_are_killed() {
    let mut driver = Driver::running();
    let out = driver.tell(other_claim());
    let killed: Vec<_> = out.iter().filter(|output| matches!(output, FlowOutput::KillPartition(_))).collect();
    assert_eq!(killed.len(), 2);
    driver.tell(ended("a", 0, None));
    assert_eq!(driver.tell(ended("a", 1, Some("panic"))).len(), 1, "told, not started again");
    assert_eq!(driver.machine.deadline(), None);
}

#[test]
fn ready_topics_get_their_partitions_once() {
    let mut driver = Driver::claimed();
    let out = driver.reconciled(1, ready(&[("a", 2)]));
    let observe = |index| FlowOutput::Observe(partition("a", index));
    assert_eq!(out[1..], [observe(0), start_of("a", 0, false, 0), observe(1), start_of("a", 1, false, 0)]);
    driver.source = cluster("s", &[("a", 1, &[0, 0]), ("b", 9, &[0])]);
    assert_eq!(driver.look(), [FlowOutput::Reconcile { number: 2, refused: Default::default() }]);
    let out = driver.reconciled(2, ready(&[("a", 2), ("b", 1)]));
    assert_eq!(out[1..], [FlowOutput::Observe(partition("b", 0)), start_of("b", 0, true, 0)]);
}

/// Two looks after the topics never mix, and a topic that went meanwhile does not come back (R9).
#[test]
fn an_old_answer_brings_no_topic_back() {
    let mut driver = Driver::claimed();
    driver.source = cluster("s", &[]);
    assert_eq!(driver.look(), [], "the first question is still under way");
    let out = driver.reconciled(1, ready(&[("a", 2)]));
    assert!(!started(&out), "{out:?}");
    assert_eq!(out.last(), Some(&FlowOutput::Reconcile { number: 2, refused: Default::default() }));
    assert_eq!(driver.reconciled(1, ready(&[("a", 2)])), [], "an answer counts once");
    driver.source = cluster("s", &[("a", 5, &[0])]);
    driver.look();
    assert_eq!(driver.reconciled(1, ready(&[("a", 2)])), [], "and only to the newest question");
    assert!(!started(&driver.reconciled(2, ready(&[]))));
    assert!(started(&driver.reconciled(3, ready(&[("a", 1)]))));
}

#[test]
fn a_topic_that_is_gone_is_let_go_and_starts_anew_after_its_last_actor_ended() {
    let mut driver = Driver::running();
    let there = std::mem::replace(&mut driver.source, cluster("s", &[]));
    let out = driver.look();
    assert_eq!(
        out[0],
        FlowOutput::ReportTopic("a".into(), Event::SourceTopicGone { topic: "a".into() }),
        "told once"
    );
    assert_eq!(told(&out, Told::Drain).len(), 2);
    driver.reconciled(2, ready(&[]));
    driver.tell(ended("a", 0, None));
    driver.source = there;
    driver.look();
    let out = driver.reconciled(3, ready(&[("a", 2)]));
    assert!(out.contains(&start_of("a", 0, true, 3)), "it counts on from the last generation: {out:?}");
    assert!(!out.contains(&start_of("a", 1, true, 0)), "its actor still lives: {out:?}");
    assert_eq!(driver.tell(ended("a", 1, None)), [start_of("a", 1, true, 3)]);
}

#[test]
fn partitions_are_told_of_moves_and_ends() {
    let mut driver = Driver::running();
    driver.source = cluster("s", &[("a", 1, &[0, 4])]);
    assert_eq!(told(&driver.look(), Told::SourceMoved), [&partition("a", 1)]);
    driver.target = cluster("t", &[("S.a", 3, &[6, 0])]);
    let out = driver.look();
    assert_eq!(told(&out, Told::TargetMoved), [&partition("a", 0), &partition("a", 1)]);
    assert_eq!(driver.ends(9).len(), 2);
    assert_eq!(driver.ends(9), [], "it is no news");
    driver.tell(ended("a", 1, Some("panic")));
    let out = driver.tick_until(started);
    let end = Told::End { end: 9, leader_epoch: 4 };
    assert_eq!(told(&out, end), [&partition("a", 1)], "who starts again is told: {out:?}");
}

#[test]
fn a_partition_that_failed_is_started_again_later_each_time_and_soon_after_a_minute_of_life() {
    let mut driver = Driver::running();
    let pause = |driver: &mut Driver, lived: Duration| {
        driver.now += lived;
        let out = driver.tell(ended("a", 0, Some("panic")));
        let [FlowOutput::Note(Note::PartitionFailed { restart_in: Some(pause), .. }), ..] = &out[..] else {
            panic!("{out:?}");
        };
        assert!(driver.tick_until(started).contains(&start_of("a", 0, false, 3)));
        *pause
    };
    let pauses: Vec<_> = (0..8).map(|_| pause(&mut driver, Duration::ZERO)).collect();
    assert!(pauses[7] >= Duration::from_secs(30) && pauses[7] <= Duration::from_secs(60), "{pauses:?}");
    assert!(pause(&mut driver, SUCCESS) <= Duration::from_secs(1));
}

#[test]
fn jobs_that_failed_are_started_again_and_soon_after_a_minute_of_life() {
    let mut driver = Driver::running();
    let pause = |driver: &mut Driver, lived: Duration| {
        driver.now += lived;
        let out = driver.tell(FlowInput::JobFailed("panic".to_owned()));
        let [FlowOutput::Note(Note::JobFailed { restart_in: Some(pause), .. }), ..] = &out[..] else {
            panic!("{out:?}");
        };
        driver.tick_until(|out| out.contains(&FlowOutput::StartJobs));
        *pause
    };
    let last = (0..8).map(|_| pause(&mut driver, Duration::ZERO)).last();
    assert!(last >= Some(Duration::from_secs(30)), "{last:?}");
    assert!(pause(&mut driver, SUCCESS) <= Duration::from_secs(1));
}

#[test]
fn a_lost_session_is_closed_and_then_built_anew() {
    let mut driver = Driver::running();
    let lost = |generation| FlowInput::SessionLost {
        generation: Generation(generation),
        reason: "reset".to_owned(),
    };
    assert_eq!(driver.tell(lost(0)), [], "an older one");
    let out = driver.tell(lost(1));
    assert_eq!(out[0], FlowOutput::Report(Event::SessionLost { reason: "reset".to_owned() }));
    assert!(matches!(out[1..], [FlowOutput::CloseSession { generation: Generation(1), .. }]));
    assert_eq!(driver.tell(lost(1)), []);
    assert_eq!(driver.tell(FlowInput::SessionClosed(Generation(1))), []);
    let next = FlowOutput::StartSession(Generation(2));
    driver.tick_until(|out| out.contains(&next));
    let refused = FlowInput::SessionRefused { generation: Generation(2), reason: "no such codec".to_owned() };
    driver.tell(refused);
    assert_eq!(driver.machine.state(), FlowState::Faulted);
    assert_eq!(driver.machine.reason().as_deref(), Some("no such codec"));
    driver.tick_until(|out| out.contains(&FlowOutput::StartSession(Generation(3))));
    driver.tell(FlowInput::SessionStarted(Generation(3)));
    assert_eq!(driver.machine.state(), FlowState::Running);
}

#[test]
fn a_cluster_that_is_away_shows_on_a_running_flow() {
    let mut driver = Driver::running();
    let there = std::mem::replace(&mut driver.target, away(&cluster("t", &[])));
    driver.look();
    assert_eq!(driver.machine.state(), FlowState::Waiting);
    assert_eq!(driver.machine.reason().as_deref(), Some("cluster T is away: connection refused"));
    driver.target = there;
    driver.look();
    assert_eq!(driver.machine.state(), FlowState::Running);
}

#[test]
fn a_drain_ends_partitions_then_session_then_store() {
    let mut driver = Driver::running();
    let out = driver.tell(FlowInput::Drain { limit: Duration::from_secs(20) });
    assert_eq!(out[0], FlowOutput::StopJobs);
    assert_eq!(told(&out, Told::Drain).len(), 2);
    assert_eq!(driver.tell(FlowInput::Drain { limit: Duration::ZERO }), [], "one drain is enough");
    assert_eq!(driver.tell(ended("a", 0, None)), []);
    let out = driver.tell(ended("a", 1, None));
    assert!(matches!(out[..], [FlowOutput::CloseSession { generation: Generation(1), .. }]), "{out:?}");
    let out = driver.tell(FlowInput::SessionClosed(Generation(1)));
    assert_eq!(out, [FlowOutput::DrainStore { limit: Duration::from_secs(20) }]);
    assert_eq!(driver.tell(FlowInput::StoreDrained), [FlowOutput::Stopped { left_behind: 0 }]);
    assert_eq!(driver.tell(FlowInput::StoreDrained), [], "nothing follows");
    assert_eq!(driver.machine.state(), FlowState::Stopped);
}

/// The partitions of a session that is lost in a drain save what they have before the store is drained (R1).
#[test]
fn a_session_lost_in_a_drain_loses_no_position() {
    let mut driver = Driver::running();
    driver.tell(FlowInput::Drain { limit: Duration::from_secs(20) });
    let lost = FlowInput::SessionLost { generation: Generation(1), reason: "reset".to_owned() };
    assert_eq!(driver.tell(lost), [], "nobody is stopped, and the store is not drained yet");
    assert_eq!(driver.tell(ended("a", 0, None)), []);
    let out = driver.tell(ended("a", 1, None));
    assert!(matches!(out[..], [FlowOutput::CloseSession { .. }]), "{out:?}");
    let out = driver.tell(FlowInput::SessionClosed(Generation(1)));
    assert!(matches!(out[..], [FlowOutput::DrainStore { .. }]), "{out:?}");
}

#[test]
fn a_drain_out_of_time_tells_how_many_are_left() {
    let mut driver = Driver::running();
    let began = driver.now;
    driver.tell(FlowInput::Drain { limit: Duration::from_secs(20) });
    driver.tell(ended("a", 0, None));
    let out = driver.tick();
    assert_eq!(driver.now, began + Duration::from_secs(15));
    assert!(matches!(out[0], FlowOutput::Note(Note::LeftBehind { partitions: 1, .. })), "{out:?}");
    assert_eq!(out[1], FlowOutput::KillPartition(partition("a", 1)));
    let out = driver.tick();
    assert_eq!(driver.now, began + Duration::from_secs(18));
    assert_eq!(out, [FlowOutput::DrainStore { limit: Duration::from_secs(2) }], "not without the session");
    assert_eq!(driver.tick(), [FlowOutput::Stopped { left_behind: 1 }]);
    assert_eq!(driver.now, began + Duration::from_secs(20));
}

#[test]
fn a_claim_lost_in_a_drain_ends_it() {
    let mut driver = Driver::running();
    driver.tell(FlowInput::Drain { limit: Duration::from_secs(20) });
    let out = driver.tell(other_claim());
    assert!(matches!(out[0], FlowOutput::Note(Note::LeftBehind { partitions: 2, .. })), "{out:?}");
    assert!(matches!(out.last(), Some(FlowOutput::CloseSession { .. })), "{out:?}");
    driver.tell(FlowInput::SessionClosed(Generation(1)));
    assert_eq!(driver.tell(FlowInput::StoreDrained), [FlowOutput::Stopped { left_behind: 2 }]);
}

#[test]
fn a_store_that_ends_fails_the_flow_but_not_its_drain() {
    let mut driver = Driver::running();
    let why = "the position store of flow S->T ended: a panic";
    let ended = || FlowInput::StoreEnded("a panic".to_owned());
    assert_eq!(driver.tell(ended()), [FlowOutput::Failed(why.to_owned())]);
    assert_eq!(driver.tell(FlowInput::Tick), []);

    let mut driver = Driver::running();
    driver.tell(FlowInput::Drain { limit: Duration::from_secs(20) });
    let out = driver.tell(ended());
    assert!(
        matches!(&out[0], FlowOutput::Note(Note::LeftBehind { partitions: 2, why: told }) if told == why)
    );
    let out = driver.tell(FlowInput::SessionClosed(Generation(1)));
    assert_eq!(out, [FlowOutput::Stopped { left_behind: 2 }]);
}

#[test]
fn a_pause_reaches_every_partition_however_late_it_starts() {
    let mut driver = Driver::claimed();
    assert_eq!(driver.tell(FlowInput::Pause), []);
    let out = driver.reconciled(1, ready(&[("a", 2)]));
    assert_eq!(told(&out, Told::Pause).len(), 2);
    assert_eq!(driver.machine.state(), FlowState::Running, "claim, session and positions stay");
    assert_eq!(driver.machine.reason().as_deref(), Some("paused by an operator"));
    assert!(driver.machine.memory().paused, "and the next life of the flow is paused too");
    assert_eq!(told(&driver.tell(FlowInput::Resume), Told::Resume).len(), 2);
    assert_eq!(driver.machine.reason(), None);
    driver.tell(FlowInput::Drain { limit: Duration::from_secs(20) });
    assert_eq!(driver.tell(FlowInput::Pause), [], "a drain goes on");
}

#[test]
fn faults_of_topics_are_told_once_and_looked_after() {
    let mut driver = Driver::claimed();
    let faulted = || {
        let mut outcome = ready(&[("a", 0)]);
        outcome.statuses[0].fault = Some(fault());
        outcome.left_out.insert("x".into(), "its name is odd".to_owned());
        outcome
    };
    let out = driver.reconciled(1, faulted());
    assert_eq!(out[0], FlowOutput::ReportTopic("a".into(), Event::Faulted(fault())));
    assert!(matches!(&out[1], FlowOutput::Note(Note::LeftOut { .. })), "{out:?}");
    let asked = |number| FlowOutput::Reconcile { number, refused: Default::default() };
    assert_eq!(driver.tick(), [FlowOutput::Upkeep, asked(2)]);
    assert!(matches!(driver.reconciled(2, faulted())[..], [FlowOutput::ShowTopics(_)]), "told once");
    assert_eq!(driver.tick(), [FlowOutput::Upkeep, asked(3)]);
    let out = driver.reconciled(3, ready(&[("a", 0)]));
    assert_eq!(out[0], FlowOutput::ReportTopic("a".into(), Event::Recovered));
    assert_eq!(driver.tick(), [FlowOutput::Upkeep]);
}

#[test]
fn a_look_that_failed_is_made_again() {
    let mut driver = Driver::claimed();
    let out = driver.tell(FlowInput::ReconcileFailed { number: 1, reason: "away".to_owned() });
    assert_eq!(out, [FlowOutput::Note(Note::ReconcileFailed("away".to_owned()))]);
    assert!(matches!(driver.tick()[..], [FlowOutput::Upkeep, FlowOutput::Reconcile { number: 2, .. }]));
}

#[test]
fn limits_are_read_again_for_who_is_refused_something() {
    let mut driver = Driver::running();
    let faulted = |index, kind| FlowInput::PartitionFaulted { source: partition("a", index), kind };
    driver.tell(faulted(0, FaultKind::NoProgress));
    assert_eq!(driver.tick(), [FlowOutput::Upkeep], "no configuration mends that");
    driver.tell(faulted(1, FaultKind::RecordTooLarge));
    let refused = [crate::model::TopicName::from("a")].into();
    assert_eq!(driver.tick(), [FlowOutput::Upkeep, FlowOutput::Reconcile { number: 2, refused }]);
    let mut outcome = ready(&[("a", 2)]);
    outcome.new_limits.insert("S.a".into());
    let out = driver.reconciled(2, outcome);
    assert_eq!(told(&out, Told::TargetMoved).len(), 2);
    driver.tell(FlowInput::PartitionRecovered(partition("a", 1)));
    assert_eq!(driver.tick(), [FlowOutput::Upkeep]);
}

#[test]
fn a_heartbeat_that_came_round_stops_the_flow() {
    let mut driver = Driver::running();
    let upstream = |path: &[&str], age_ms| {
        let path: Vec<_> = path.iter().map(|alias| crate::model::Alias::from(*alias)).collect();
        FlowInput::Upstreams(vec![UpstreamStatus { alias: path[0].clone(), hops: 1, path, age_ms }])
    };
    assert_eq!(driver.tell(upstream(&["S", "T"], 0)), []);
    assert_eq!(driver.tell(upstream(&["T", "S", "T"], 10_000)), [], "an old one proves nothing");
    assert_eq!(driver.tell(upstream(&["T", "X", "T"], 0)), [], "not by this flow");
    let out = driver.tell(upstream(&["T", "S", "T"], 9_999));
    assert!(matches!(&out[0], FlowOutput::Report(Event::LoopFound { .. })), "{out:?}");
    assert_eq!(driver.machine.state(), FlowState::Faulted);
    let reason = driver.machine.reason().expect("it is told");
    assert!(
        reason.starts_with("heartbeats come round: ") && reason.ends_with("take one flow of the ring out")
    );
}
