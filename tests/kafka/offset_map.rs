//! The stored offset map says what both logs say.

use crate::common::topologies::{flow, topology};
use crate::common::{
    Ending, Engine, KafkaClient, LogView, Pair, Produce, TestRecord, await_exact, both_engines, log_view,
    map_differs, pair, stored_offsets, topic, wait_for,
};
use mirrormesh::model::TopicPartition;

both_engines! { the_map_is_stored_and_exact_with_transactions_and_restarts }

/// `count` records with values that no other has, from `first` on.
fn unique(first: usize, count: usize) -> Vec<TestRecord> {
    (first..first + count).map(|n| TestRecord::new(&format!("k-{n}"), &format!("v-{n}"))).collect()
}

/// Waits until the stored map of a topic's only partition is the truth from `known_from` on.
async fn map_is_true(pair: &Pair, name: &str, known_from: i64) -> LogView {
    let (east, west) = (pair.east.client(), pair.west.client());
    let source = TopicPartition::new(name, 0);
    wait_for(&format!("the stored map of {name} to say what the logs say"), async || {
        let offsets = stored_offsets(pair.west.bootstrap(), "east", name).await;
        let (here, there) = (log_view(east, name, 0).await, log_view(west, &format!("east.{name}"), 0).await);
        match offsets.maps.get(&source) {
            None => Err("no map is stored".to_owned()),
            Some(map) => match map_differs(map, &here, &there, known_from) {
                Some(difference) => Err(difference),
                None => Ok(here),
            },
        }
    })
    .await
}

async fn transactions(client: &KafkaClient, name: &str, first: usize, rounds: usize) {
    for round in 0..rounds {
        let ending = if round % 2 == 0 { Ending::Commit } else { Ending::Abort };
        let transaction = Produce::new().transaction(name, ending);
        client.produce_with(name, 0, unique(first + round * 10, 7), transaction).await;
    }
}

/// Markers and aborted records leave gaps on the source; the map is exact all the same, after a clean stop, after a
/// kill, and when it was loaded and went on.
async fn the_map_is_stored_and_exact_with_transactions_and_restarts(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("mapped");
    let remote = format!("east.{name}");
    east.create_topic(&name, 1, &[]).await;
    east.produce(&name, 0, unique(0, 100)).await;
    transactions(east, &name, 1_000, 6).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &remote).await;
    map_is_true(pair, &name, 0).await;

    transactions(east, &name, 2_000, 5).await;
    await_exact(east, &name, west, &remote).await;
    assert_eq!(mirror.terminate().await, Some(0));
    map_is_true(pair, &name, 0).await;

    mirror.launch();
    mirror.ready().await;
    transactions(east, &name, 3_000, 5).await;
    await_exact(east, &name, west, &remote).await;
    mirror.kill();
    // What the kill kept from being stored is found again.
    mirror.launch();
    mirror.ready().await;
    east.produce(&name, 0, unique(4_000, 1)).await;
    await_exact(east, &name, west, &remote).await;
    map_is_true(pair, &name, 0).await;
}
