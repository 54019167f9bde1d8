//! The harness itself: what other tests lean on must hold.

use crate::common::{Cluster, Ending, Isolation, Produce, TestRecord, pair, topic};

#[tokio::test]
async fn records_come_back_as_they_were_written() {
    let client = pair().await.east.client();
    let name = topic("fidelity");
    client.create_topic(&name, 2, &[]).await;
    let records = vec![
        TestRecord::new("k", "v").at(1_700_000_000_000).header("a", Some(b"1")).header("a", None),
        TestRecord { timestamp_ms: Some(5), ..TestRecord::default() },
        TestRecord { key: Some(vec![]), value: Some(vec![0xff]), ..TestRecord::default() }.at(6),
    ];
    assert_eq!(client.produce_with(&name, 1, records.clone(), Produce::new().codec("zstd")).await, [0, 1, 2]);
    let read = client.consume_all(&name).await;
    assert!(read[0].is_empty());
    let offsets: Vec<i64> = read[1].iter().map(|consumed| consumed.offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    let read: Vec<TestRecord> = read[1].iter().map(|consumed| consumed.record.clone()).collect();
    assert_eq!(read, records);
}

#[tokio::test]
async fn aborted_transactions_are_read_only_uncommitted() {
    let client = pair().await.west.client();
    let name = topic("transactions");
    client.create_topic(&name, 1, &[]).await;
    for (text, ending) in [("kept", Ending::Commit), ("dropped", Ending::Abort)] {
        let options = Produce::new().transaction(&name, ending).batch_records(1);
        client.produce_with(&name, 0, vec![TestRecord::new("k", text)], options).await;
    }
    assert_eq!(client.consume_all(&name).await[0].len(), 1);
    assert_eq!(client.consume_all_with(&name, Isolation::ReadUncommitted).await[0].len(), 2);
    // Two records and two markers.
    assert_eq!(client.end_offsets(&name).await, [4]);
}

#[tokio::test]
async fn topics_grow_shrink_at_the_start_and_go() {
    let client = pair().await.east.client();
    let name = topic("changes");
    client.create_topic(&name, 1, &[("retention.ms", "-1")]).await;
    client.produce(&name, 0, TestRecord::numbered(10)).await;
    client.add_partitions(&name, 3).await;
    client.delete_records(&name, 0, 4).await;
    assert_eq!(client.offsets(&name).await, [(4, 10), (0, 0), (0, 0)]);
    assert_eq!(client.topics().await.get(&name), Some(&3));
    client.delete_topic(&name).await;
    assert_eq!(client.topics().await.get(&name), None);
}

#[tokio::test]
async fn a_killed_broker_comes_back_with_its_data() {
    let cluster = Cluster::builder("restarts").property("message.max.bytes", 5_000).start().await;
    let client = cluster.client();
    client.create_topic("orders", 1, &[]).await;
    client.produce("orders", 0, TestRecord::numbered(5)).await;
    cluster.broker().kill();
    assert_eq!(cluster.broker().pid(), None);
    cluster.broker().start().await;
    cluster.stop().await;
    cluster.start().await;
    assert_eq!(client.consume_all("orders").await[0].len(), 5);
    assert!(cluster.data_dir().join("orders-0").is_dir());
}
