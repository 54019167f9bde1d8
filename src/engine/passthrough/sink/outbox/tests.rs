//! The machine against a model of a broker that keeps Kafka's rules for idempotent producers.

mod model;

use kafka_protocol::error::ResponseError;
use proptest::prelude::*;

use crate::model::WriteErrorClass;
use model::{Fault, Sizes, World};

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum OutboxStep {
    Write,
    Send {
        merge: bool,
    },
    Process(Fault),
    Answer,
    /// The connection breaks; requests that were not processed may still be, later.
    Cut {
        kept: usize,
    },
    /// A request of a broken connection is processed.
    Late,
    /// The lane is opened under a new generation.
    Reopen,
    /// Where to go on is found out from the log.
    Resolve,
    /// The process dies, and another begins with the saved producer.
    Restart {
        kept: usize,
    },
    /// The broker forgets its producers: their records are old.
    Forget,
}

fn fault() -> impl Strategy<Value = Fault> {
    let before = prop::sample::select(vec![
        ResponseError::NotLeaderOrFollower,
        ResponseError::NotEnoughReplicas,
        ResponseError::CorruptMessage,
        ResponseError::ThrottlingQuotaExceeded,
    ]);
    let after = prop::sample::select(vec![
        ResponseError::RequestTimedOut,
        ResponseError::NotEnoughReplicasAfterAppend,
        ResponseError::NotLeaderOrFollower,
        ResponseError::UnknownServerError,
    ]);
    prop_oneof![
        6 => Just(Fault::None),
        1 => before.prop_map(Fault::Before),
        1 => after.prop_map(Fault::After),
    ]
}

fn step() -> impl Strategy<Value = OutboxStep> {
    prop_oneof![
        8 => Just(OutboxStep::Write),
        12 => any::<bool>().prop_map(|merge| OutboxStep::Send { merge }),
        12 => fault().prop_map(OutboxStep::Process),
        12 => Just(OutboxStep::Answer),
        2 => (0..4_usize).prop_map(|kept| OutboxStep::Cut { kept }),
        3 => Just(OutboxStep::Late),
        1 => Just(OutboxStep::Reopen),
        4 => Just(OutboxStep::Resolve),
        1 => (0..4_usize).prop_map(|kept| OutboxStep::Restart { kept }),
        1 => Just(OutboxStep::Forget),
    ]
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (prop_oneof![Just(usize::MAX), 120..600_usize], any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(max_bytes, old, gaps, near_wrap)| Sizes { max_bytes, old, gaps, near_wrap })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// R1 to R3 and R11: whatever happens, the log is an exact prefix of the source, and in the end all of it.
    /// Acknowledgements are in order and say where the records are.
    #[test]
    fn the_log_is_an_exact_prefix(sizes in sizes(), steps in prop::collection::vec(step(), 1..250)) {
        let mut world = World::new(sizes);
        for step in steps {
            match step {
                OutboxStep::Write => world.write(),
                OutboxStep::Send { merge } => world.send(merge),
                OutboxStep::Process(fault) => world.process(fault),
                OutboxStep::Answer => world.answer(),
                OutboxStep::Cut { kept } => world.cut(kept),
                OutboxStep::Late => world.late(),
                OutboxStep::Reopen => world.reopen(),
                OutboxStep::Resolve => world.resolve(),
                OutboxStep::Restart { kept } => world.restart(kept),
                OutboxStep::Forget => world.forget(),
            }
            world.check();
        }
        world.finish();
    }
}

fn calm() -> World {
    World::new(Sizes { max_bytes: usize::MAX, old: false, gaps: false, near_wrap: false })
}

#[test]
fn the_first_batch_of_a_producer_goes_alone_and_then_five() {
    let mut world = calm();
    for _ in 0..10 {
        world.write();
    }
    for _ in 0..10 {
        world.send(false);
    }
    assert_eq!(world.in_flight(), 1);
    world.process(Fault::None);
    world.answer();
    for _ in 0..10 {
        world.send(false);
    }
    assert_eq!(world.in_flight(), 5);
    world.finish();
}

#[test]
fn batches_that_wait_for_others_are_merged() {
    let mut world = calm();
    world.write();
    world.send(true);
    world.process(Fault::None);
    world.answer();
    for _ in 0..25 {
        world.write();
    }
    for _ in 0..5 {
        world.send(true);
    }
    let sent = world.records_in_flight();
    assert!(sent > 5 * 2, "{sent} records in five batches");
    world.finish();
}

#[test]
fn nothing_is_sent_again_before_everything_is_answered() {
    let mut world = calm();
    world.prime();
    for _ in 0..3 {
        world.write();
        world.send(false);
    }
    world.process(Fault::Before(ResponseError::NotEnoughReplicas));
    world.process(Fault::None);
    world.process(Fault::None);
    world.answer();
    world.answer();
    world.send(false);
    assert_eq!(world.in_flight(), 1, "the third is not answered yet");
    world.answer();
    for _ in 0..5 {
        world.send(false);
    }
    assert_eq!(world.in_flight(), 3);
    world.finish();
}

#[test]
fn an_old_batch_is_not_sent_again() {
    let mut world = World::new(Sizes { max_bytes: usize::MAX, old: true, gaps: false, near_wrap: false });
    world.prime();
    world.write();
    world.send(false);
    world.process(Fault::After(ResponseError::RequestTimedOut));
    world.answer();
    let failed = world.last_failure.clone().expect("it was told");
    assert_eq!(failed.class, WriteErrorClass::Retry);
    assert!(failed.fault.what.contains("so old"), "{}", failed.fault.what);
    world.finish();
}

#[test]
fn a_sequence_that_does_not_follow_leads_to_a_look_at_the_target() {
    let mut world = calm();
    world.prime();
    world.lose_tail();
    world.write();
    world.send(false);
    world.process(Fault::None);
    world.answer();
    assert_eq!(world.last_failure.as_ref().map(|failed| failed.class), Some(WriteErrorClass::Retry));
}

#[test]
fn a_refusal_names_the_record_and_waits_for_what_precedes_it() {
    let mut world = calm();
    world.prime();
    for _ in 0..2 {
        world.write();
        world.send(false);
    }
    world.process(Fault::Before(ResponseError::NotEnoughReplicas));
    world.process(Fault::Before(ResponseError::InvalidTimestamp));
    world.answer();
    world.answer();
    assert!(world.last_failure.is_none(), "the first is to be sent again");
    world.send(false);
    world.send(false);
    world.process(Fault::None);
    world.process(Fault::Before(ResponseError::InvalidTimestamp));
    world.answer();
    world.answer();
    let failed = world.last_failure.clone().expect("it was told");
    assert_eq!(failed.class, WriteErrorClass::Refuse);
    assert_eq!(failed.source_offset, world.log_end_source());
}

#[test]
fn what_cannot_be_written_is_told_after_what_precedes_it() {
    let mut world = calm();
    world.prime();
    world.write();
    world.send(false);
    world.write_foreign();
    assert!(world.last_failure.is_none(), "a batch is on its way");
    world.process(Fault::None);
    world.answer();
    let failed = world.last_failure.clone().expect("it was told");
    assert_eq!((failed.class, failed.source_offset), (WriteErrorClass::Session, world.log_end_source()));
    world.finish();
}
