//! How a mirror that can't drain is ended.

use crate::common::topologies::{flow, topology};
use crate::common::{Cluster, Load, MirrorProcess, await_exact, verify_acknowledged, wait_for};

/// R1, R3: a second SIGTERM ends a drain that would take for ever, and loses and doubles nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_exits_at_once() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(Cluster::builder("east").start(), Cluster::builder("west").start());
    east.client().create_topic("orders", 2, &[]).await;
    let load = Load::on(east.client()).topic("orders", 2).rate(2_000).start();
    let flows = flow("stuck", "east", "west", &["orders"], &[]);
    // No drain is given up while this test runs.
    let mirror = MirrorProcess::start(&topology(&[&east, &west], &flows), &["shutdown.timeout=10m"]);
    wait_for("records to be copied", async || match west.client().topics().await.get("east.orders") {
        Some(_) if west.client().end_offsets("east.orders").await.iter().all(|end| *end > 100) => Ok(()),
        partitions => Err(format!("{partitions:?}")),
    })
    .await;
    west.pause();
    wait_for("records to be in flight to a target that is silent", async || {
        let status = mirror.status().await?;
        if status["in_flight_bytes"].as_u64() > Some(0) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    mirror.ask_to_stop();
    wait_for("the drain to begin", async || match mirror.output() {
        output if output.contains("a second signal exits at once") => Ok(()),
        output => Err(output),
    })
    .await;
    mirror.ask_to_stop();
    assert_eq!(mirror.ended().await, Some(1));
    assert!(mirror.output().contains("exit at once; the next start finds out what arrived"));
    west.resume();
    mirror.launch();
    let written = load.stop().await;
    await_exact(east.client(), "orders", west.client(), "east.orders").await;
    verify_acknowledged(east.client(), "orders", &written).await;
    assert_eq!(mirror.terminate().await, Some(0));
}
