//! A topic that goes and comes back.

use super::twin::{Running, Twin, both_engines};
use crate::batch::Record;

both_engines! {
    a_topic_that_is_back_begins_at_its_first_record,
    a_topic_created_anew_between_two_looks_is_noticed,
}

/// Records without their offsets.
fn contents(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().map(|record| Record { offset: 0, ..record }).collect()
}

/// Waits until west has these, and then all records of `orders`.
async fn copied_behind(twin: &Twin, mesh: &Running, before: &[Record]) {
    let mut wanted = before.to_vec();
    wanted.extend(contents(twin.east.records("orders", 0)));
    twin.until("the new topic is on the target", || twin.copy().len() >= wanted.len() && mesh.streams())
        .await;
    assert_eq!(contents(twin.copy()), wanted);
}

/// R1, R3, R10: it is told, its partitions stop, and what comes back is mirrored from its first record, once.
async fn a_topic_that_is_back_begins_at_its_first_record(engine: &str) {
    let twin = Twin::with_orders(20).await;
    let mesh = twin.mirror(engine).await;
    twin.saved().await;
    let before = contents(twin.copy());

    twin.east.delete_topic("orders");
    twin.until("it is told", || !mesh.events("source_topic_gone").is_empty()).await;
    let stopped = || mesh.partition_actors().is_empty() && mesh.flow().partitions.is_empty();
    twin.until("its partition stops and goes from the board", stopped).await;

    twin.east.create_topic("orders", 1, &[]);
    twin.produce("anew", 30);
    copied_behind(&twin, &mesh, &before).await;
    twin.produce("more", 5);
    copied_behind(&twin, &mesh, &before).await;
    assert_eq!(mesh.events("source_topic_gone").len(), 1);
    assert_eq!(mesh.events("source_recreated").len(), 1, "{:?}", mesh.events("source_recreated"));
    mesh.stop().await;
    let next = twin.mirror(engine).await;
    copied_behind(&twin, &next, &before).await;
    next.stop().await;
}

/// R1, R3, R10: nobody saw it gone, and yet the new log is not taken for the old one, as it does not reach as far.
async fn a_topic_created_anew_between_two_looks_is_noticed(engine: &str) {
    let twin = Twin::with_orders(20).await;
    let mesh = twin.mirror(engine).await;
    twin.saved().await;
    let before = contents(twin.copy());
    let actors = mesh.partition_actors();

    // No request comes in between: nothing is awaited here.
    twin.east.delete_topic("orders");
    twin.east.create_topic("orders", 1, &[]);
    twin.produce("anew", 10);
    copied_behind(&twin, &mesh, &before).await;
    twin.produce("more", 30);
    copied_behind(&twin, &mesh, &before).await;
    let told = mesh.events("source_recreated");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].details.from, told[0].details.to), (Some(20), Some(0)));
    assert!(mesh.events("source_topic_gone").is_empty());
    assert_eq!(mesh.partition_actors(), actors);
    mesh.stop().await;
    let next = twin.mirror(engine).await;
    copied_behind(&twin, &next, &before).await;
    next.stop().await;
}
