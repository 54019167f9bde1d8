//! Clients of librdkafka that find no broker while others do: the flow replaces them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::topologies::{flow, topology_at};
use crate::common::{
    Cluster, Engine, Listener, Load, MirrorProcess, Proxy, verify_acknowledged, verify_exact, wait_for,
};
use crate::holds;

/// More records than can be under way at 500 a second: a copy that grows by so many has its client back.
const MORE: i64 = 2_000;

/// The sessions that the mirror lost so far, and why.
async fn lost(mirror: &MirrorProcess) -> Vec<Value> {
    mirror.events("session_lost").await
}

async fn held(target: &Cluster, remote: &str) -> i64 {
    target.client().end_offsets(remote).await.iter().sum()
}

/// R1, R2, R3: the consumer of one flow and the producer of another get no connection any more, though the cluster
/// answers our own wire. Each flow replaces its client, says so once, and goes on where it stood.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_brokers_is_replaced() {
    let _seats = crate::seats(2).await;
    let east = Cluster::builder("east").proxied().start().await;
    let west = Cluster::builder("west").proxied().start().await;
    let ways = [
        ("to-west", &east, "orders", &west, "east.orders"),
        ("to-east", &west, "bills", &east, "west.bills"),
    ];
    for (_, source, topic, ..) in ways {
        source.client().create_topic(topic, 3, &[]).await;
    }
    let flows =
        flow("to-west", "east", "west", &["orders"], &[]) + &flow("to-east", "west", "east", &["bills"], &[]);
    let looks = ["telemetry.log.filter=info,mirrormesh::engine=debug"];
    let mirror = Engine::Records.start(&topology_at(&[&east, &west], Listener::Link, &flows), &looks);
    mirror.ready().await;
    let loads =
        ways.map(|(_, source, topic, ..)| Load::on(source.client()).topic(topic, 3).rate(500).start());
    for (_, _, _, target, remote) in ways {
        holds(target.client(), remote, 500).await;
    }

    // A client that never had a broker would be waited for ten times longer.
    for client in ["Consumer", "Producer"] {
        wait_for(&format!("the {client} of east to be looked at"), async || {
            let met = |line: &str| {
                ["looked for a broker cluster=east", client, "seen=Broker"]
                    .iter()
                    .all(|part| line.contains(part))
            };
            if mirror.output().lines().any(met) { Ok(()) } else { Err("no look yet".to_owned()) }
        })
        .await;
    }

    east.link(Proxy::turn_rdkafka_away);
    let events = wait_for("both flows to give their client up", async || {
        let events = lost(&mirror).await;
        let flows: BTreeSet<_> = events.iter().map(|event| event["flow"].to_string()).collect();
        if flows.len() == 2 { Ok(events) } else { Err(format!("{events:?}")) }
    })
    .await;
    east.link(Proxy::admit_rdkafka);
    for (flow, client) in [("to-west", "consumer"), ("to-east", "producer")] {
        let reasons: Vec<_> = events.iter().filter(|event| event["flow"] == flow).collect();
        let reason = reasons[0]["details"]["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with(&format!("the {client} of cluster east has no broker left")), "{reason}");
    }

    for (load, (_, source, topic, target, remote)) in loads.into_iter().zip(ways) {
        let now = held(target, remote).await;
        holds(target.client(), remote, now + MORE).await;
        let written = load.stop().await;
        let goal = written.values().map(|records| records.len() as i64).sum();
        holds(target.client(), remote, goal).await;
        verify_acknowledged(source.client(), topic, &written).await;
        verify_exact(source.client(), topic, target.client(), remote).await;
    }
    assert_eq!(lost(&mirror).await.len(), 2, "a session of each flow: {:?}", lost(&mirror).await);
    assert_eq!(mirror.terminate().await, Some(0));
}
