//! The real binary between fake clusters: it asks nothing that they can't answer.

use crate::common::topologies::flow;
use crate::common::{Engine, KafkaClient, TestRecord, both_engines, verify_exact, wait_for};
use crate::fake::FakeCluster;

both_engines! {
    a_flow_runs_between_fake_clusters,
}

async fn a_flow_runs_between_fake_clusters(engine: Engine) {
    let (east, west) =
        (FakeCluster::builder().brokers(2).start().await, FakeCluster::builder().brokers(2).start().await);
    east.create_topic("orders", 3, &[("retention.ms", "-1")]);
    let (source, target) = (KafkaClient::new(&east.bootstrap()), KafkaClient::new(&west.bootstrap()));
    for partition in 0..3 {
        source.produce("orders", partition, TestRecord::numbered(200)).await;
    }
    east.commit("billing", "orders", 1, 50);
    let topology = format!(
        "mesh: test\nclusters:\n  east:\n    bootstrap: [\"{}\"]\n  west:\n    bootstrap: [\"{}\"]\nflows:\n{}",
        east.bootstrap(),
        west.bootstrap(),
        flow("test", "east", "west", &["orders"], &["groups: { interval: 300ms }"]),
    );
    let mirror = engine.start(&topology, &[]);
    mirror.ready().await;
    let arrived = |records: usize| {
        let west = &west;
        wait_for("the copy", async move || {
            let counts: Vec<_> = match west.topics().contains_key("east.orders") {
                true => (0..3).map(|partition| west.records("east.orders", partition).len()).collect(),
                false => Vec::new(),
            };
            if counts == [records; 3] { Ok(()) } else { Err(format!("{counts:?}")) }
        })
    };
    arrived(200).await;
    assert_eq!(west.topic_configs("east.orders")["retention.ms"], "-1");

    // A leader moves on each side, and the other broker of each stops.
    for (cluster, topic) in [(&east, "orders"), (&west, "east.orders")] {
        cluster.move_leader(topic, 0, 2);
        cluster.stop_broker(1).await;
    }
    for partition in 0..3 {
        source.produce("orders", partition, TestRecord::numbered(50)).await;
    }
    arrived(250).await;
    verify_exact(&source, "orders", &target, "east.orders").await;
    wait_for("the group to be in step", async || match west.committed("billing", "east.orders", 1) {
        Some(50) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(mirror.terminate().await, Some(0));
}
