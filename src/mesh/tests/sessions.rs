//! An engine session that ends by itself.

use std::sync::Arc;

use super::twin::{Twin, both_engines};
use crate::engine::{LaneEvent, LaneSpec};
use crate::model::{Generation, TopicId, TopicPartition};

both_engines! {
    a_lost_session_is_followed_by_the_next,
}

/// R1, R3: the flow builds the next session, and its partitions go on where they were.
async fn a_lost_session_is_followed_by_the_next(engine: &str) {
    let twin = Twin::with_orders(20).await;
    for cluster in [&twin.east, &twin.west] {
        cluster.create_topic("trap", 1, &[]);
    }
    let mesh = twin.mirror(engine).await;
    twin.copied().await;
    assert_eq!(mesh.flow().session_generation, Generation(1));
    let actors = mesh.partition_actors();

    // A lane of our own, whose port panics with its first batch: no engine survives that.
    let (session, trap) = (mesh.session(), TopicPartition::new("trap", 0));
    let spec = LaneSpec {
        source: trap.clone(),
        target: trap.clone(),
        source_topic_id: TopicId::default(),
        target_topic_id: TopicId::default(),
        generation: Generation(1),
        port: Arc::new(|_, event| assert!(!matches!(event, LaneEvent::Fetched(_)), "on purpose")),
        producer: None,
    };
    session.open(spec).await.expect("the session is there");
    session.fetch(&trap, Generation(1), 0, -1);
    drop(session);
    twin.east.produce("trap", 0, &[("k", "v")]);
    twin.until("the session is lost", || !mesh.events("session_lost").is_empty()).await;
    twin.produce("meanwhile", 20);
    twin.until("the next session runs", || mesh.flow().session_generation == Generation(2) && mesh.streams())
        .await;
    twin.copied().await;

    let lost = mesh.events("session_lost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].details.reason.as_deref().is_some_and(|why| why.contains("on purpose")), "{lost:?}");
    assert_eq!(mesh.partition_actors(), actors, "partitions outlive the session");
    assert!(mesh.events("faulted").is_empty(), "{:?}", mesh.events("faulted"));
    mesh.stop().await;
    twin.assert_exact();
}
