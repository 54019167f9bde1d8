//! The harness itself: what other tests lean on must hold.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mirrormesh::wire::Wire;
use rdkafka::error::KafkaError;
use tokio::sync::{Mutex, MutexGuard};

use crate::common::topologies::{flow, topology, topology_as};
use crate::common::{
    Broker, Certificates, Cluster, Ending, Isolation, KafkaClient, Listener, Load, MessageSets,
    MirrorProcess, Pair, Process, Produce, Proxy, Release, TestRecord, Twin, await_exact, blocking,
    class_path, compare, damage, difference, fresh_dir, java, java_source, jdk, pair, random_text,
    replace_log, stored_batches, topic, try_java, twins, verify_acknowledged, verify_exact, wait_for,
    wire_settings,
};

/// Tests that start clusters of their own take turns: a cluster starts fast only where not ten others do.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

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
    let _turn = turn().await;
    let cluster = Cluster::builder("restarts").property("message.max.bytes", 5_000).start().await;
    let client = cluster.client();
    client.create_topic("orders", 1, &[]).await;
    client.produce("orders", 0, TestRecord::numbered(5)).await;
    let broker: &Broker = cluster.broker();
    broker.kill();
    assert_eq!(broker.pid(), None);
    broker.start().await;
    broker.stop().await;
    assert!(broker.log().contains(cluster.id()), "the log tells the cluster's id");
    cluster.start().await;
    cluster.stop().await;
    cluster.start().await;
    assert_eq!(client.consume_all("orders").await[0].len(), 5);
    assert!(cluster.data_dir().join("orders-0").is_dir());
}

#[tokio::test]
async fn a_broker_of_an_older_release_says_so_and_serves() {
    let _turn = turn().await;
    let cluster = Cluster::builder("older").release(Release::V3_9).jvm(&["-Xmx300m"]).start().await;
    let said = format!("Kafka version: {}", Release::V3_9.version());
    assert!(cluster.broker().log().lines().any(|line| line.ends_with(&said)), "its log has no {said}");
    let client = cluster.client();
    client.create_topic("orders", 1, &[]).await;
    client.produce("orders", 0, TestRecord::numbered(5)).await;
    assert_eq!(client.consume_all("orders").await[0].len(), 5);
    let pid = cluster.broker().pid().expect("it runs");
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it runs");
    let heap = command.split('\0').rfind(|flag| flag.starts_with("-Xmx"));
    assert_eq!(heap, Some("-Xmx300m"), "the builder's flag comes last");
    assert!(
        command.contains(&class_path(Release::V3_9)) && command.starts_with(&*jdk("java").to_string_lossy())
    );
}

#[tokio::test]
async fn a_log_can_be_damaged_and_replaced_on_disk() {
    let _turn = turn().await;
    let cluster = Cluster::builder("damaged").start().await;
    let (client, broker) = (cluster.client(), cluster.broker());
    client.create_topic("orders", 1, &[]).await;
    for _ in 0..2 {
        client.produce("orders", 0, TestRecord::numbered(5)).await;
    }
    let sound = || -> Vec<bool> {
        stored_batches(broker, "orders", 0).iter().map(|batch| batch.verify_crc().is_ok()).collect()
    };
    let before = sound();
    assert!(before.len() >= 2 && before.iter().all(|sound| *sound), "{before:?}");
    broker.stop().await;
    damage(broker, "orders", 0, 9);
    let after = sound();
    assert_eq!(after.iter().position(|sound| !sound), Some(before.len() - 1), "the last batch, and no other");
    broker.start().await;
    assert_eq!(client.end_offsets("orders").await, [10], "the broker does not look into what it closed");

    let mut sets = MessageSets::default();
    sets.plain(0, &TestRecord::numbered(2));
    sets.gzip(1, &TestRecord::numbered(3));
    broker.stop().await;
    replace_log(broker, "orders", 0, &sets.into_bytes());
    assert_eq!(sound(), [true; 3]);
    broker.start().await;
    assert_eq!(client.end_offsets("orders").await, [5]);
    let batches = stored_batches(broker, "orders", 0);
    let records: Vec<_> = batches.iter().flat_map(|batch| batch.records().expect("it is sound")).collect();
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(records[4].value.as_deref(), Some(&b"v-2"[..]));
}

#[tokio::test]
async fn a_disk_set_back_has_lost_what_came_later() {
    let _turn = turn().await;
    let cluster = Cluster::builder("setback").start().await;
    let client = cluster.client();
    client.create_topic("orders", 1, &[]).await;
    client.produce("orders", 0, TestRecord::numbered(5)).await;
    cluster.stop().await;
    let saved = cluster.broker().save_data();
    cluster.start().await;
    client.produce("orders", 0, TestRecord::numbered(7)).await;
    assert_eq!(client.end_offsets("orders").await, [12]);
    cluster.kill();
    cluster.broker().restore_data(&saved);
    cluster.start().await;
    assert_eq!(client.end_offsets("orders").await, [5]);
}

#[tokio::test]
async fn a_proxied_broker_can_be_cut_stalled_and_slowed() {
    let _turn = turn().await;
    let cluster = Cluster::builder("proxied").proxied().start().await;
    let link = KafkaClient::new(&cluster.bootstrap_at(Listener::Link));
    assert_eq!(ask(&link, 30_000).await, Ok(vec![1]));

    cluster.link(Proxy::cut);
    assert!(ask(&link, 1_000).await.is_err());
    assert_eq!(ask(cluster.client(), 30_000).await, Ok(vec![1]), "the direct way stays open");
    cluster.link(Proxy::restore);
    assert_eq!(ask(&link, 30_000).await, Ok(vec![1]));

    cluster.link(Proxy::stall);
    assert!(ask(&link, 1_000).await.is_err());
    cluster.link(Proxy::flow);
    assert_eq!(ask(&link, 30_000).await, Ok(vec![1]));

    let latency = Duration::from_millis(100);
    cluster.link(|proxy| proxy.set_latency(latency));
    let asked = Instant::now();
    assert_eq!(ask(&link, 30_000).await, Ok(vec![1]));
    // At least one round trip; how much longer it takes is nobody's business.
    assert!(asked.elapsed() >= 2 * latency);

    cluster.link(|proxy| proxy.set_latency(Duration::ZERO));
    cluster.link(|proxy| proxy.set_bandwidth(Some(100_000)));
    cluster.client().create_topic("orders", 1, &[]).await;
    let asked = Instant::now();
    link.produce("orders", 0, vec![TestRecord::new("k", &"v".repeat(50_000))]).await;
    assert!(asked.elapsed() >= latency * 5);
    // One record in one request (0), after more than one question for metadata (3).
    let proxy = cluster.broker().proxy();
    let before = proxy.answered_bytes();
    assert_eq!(link.consume_all("orders").await[0].len(), 1);
    assert!(proxy.answered_bytes() >= before + 50_000, "{before} to {} bytes", proxy.answered_bytes());
    let requests = proxy.requests();
    assert_eq!(requests.get(&0), Some(&1), "{requests:?}");
    assert!(requests.get(&3).is_some_and(|count| *count > 1), "{requests:?}");
}

#[tokio::test]
async fn a_proxy_turns_librdkafka_alone_away() {
    let _turn = turn().await;
    let cluster = Cluster::builder("away").proxied().start().await;
    cluster.client().create_topic("orders", 1, &[]).await;
    let bootstrap = cluster.bootstrap_at(Listener::Link);
    let link = KafkaClient::new(&bootstrap);
    let wire = Wire::new("away".into(), &wire_settings(&bootstrap)).expect("the settings can be used");
    let seen = async || wire.metadata(None).await.map(|seen| (seen.brokers.len(), seen.topics.len()));
    assert_eq!(ask(&link, 10_000).await, Ok(vec![1]));

    cluster.link(Proxy::turn_rdkafka_away);
    assert!(ask(&link, 1_000).await.is_err());
    assert!(cluster.broker().proxy().turned_away() > 0);
    assert_eq!(seen().await.expect("the cluster answers"), (1, 1));
    assert_eq!(ask(cluster.client(), 10_000).await, Ok(vec![1]), "the direct way is open");

    cluster.link(Proxy::admit_rdkafka);
    assert_eq!(ask(&link, 10_000).await, Ok(vec![1]));
}

#[tokio::test]
async fn a_broker_can_be_paused_and_a_client_be_limited() {
    let _turn = turn().await;
    let cluster = Cluster::builder("paused").start().await;
    cluster.pause();
    assert!(ask(cluster.client(), 1_000).await.is_err());
    cluster.resume();
    // Its controller was away too, and has to hear from it before it counts again.
    wait_for("the broker to answer", async || match ask(cluster.client(), 10_000).await {
        Ok(brokers) if brokers == [1] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    cluster.limit_client("slow", 12_345).await;
    let describe = ["--bootstrap-server", cluster.bootstrap(), "--describe", "--entity-type", "clients"];
    let quotas = java("kafka.admin.ConfigCommand", &describe).await;
    for part in ["slow", "consumer_byte_rate=12345", "producer_byte_rate=12345"] {
        assert!(quotas.contains(part), "{part} is missing in {quotas}");
    }
}

#[tokio::test]
async fn three_brokers_carry_on_without_one() {
    let _turn = turn().await;
    let cluster = Cluster::builder("three").brokers(3).racks(&["a", "b", "c"]).start().await;
    let wire = Wire::new("three".into(), &wire_settings(cluster.bootstrap())).expect("sound settings");
    let brokers = wire.metadata(Some(&[])).await.expect("a broker answers").brokers;
    let racks = brokers.iter().map(|broker| (broker.id, broker.rack.as_deref()));
    assert_eq!(racks.collect::<BTreeMap<_, _>>(), [(1, Some("a")), (2, Some("b")), (3, Some("c"))].into());
    let client = cluster.client();
    client.create_topic_with("orders", 3, 3, &[("min.insync.replicas", "2")]).await;
    assert_eq!(cluster.brokers().iter().map(Broker::node_id).collect::<Vec<_>>(), [1, 2, 3]);
    // One replica each, so that the third broker leads one of them, and nobody can take over.
    let mut made = 0;
    let (alone, lost) = wait_for("replicas that are spread over the brokers", async || {
        made += 1;
        let alone = format!("alone-{made}");
        client.create_topic_with(&alone, 3, 1, &[]).await;
        let mut leaders = Vec::new();
        for partition in 0..3 {
            match client.leader(&alone, partition).await {
                3 => return Ok((alone, partition)),
                other => leaders.push(other),
            }
        }
        Err(format!("{alone} is on {leaders:?}"))
    })
    .await;
    cluster.brokers()[2].kill();
    client.leaderless(&alone, lost).await;
    for partition in 0..3 {
        client.produce("orders", partition, TestRecord::numbered(10)).await;
        wait_for("every broker to know that a dead one leads nothing", async || {
            match client.leader("orders", partition).await {
                3 => Err(format!("broker 3 leads partition {partition}")),
                _ => Ok(()),
            }
        })
        .await;
    }
    cluster.start().await;
    let read = client.consume_all("orders").await;
    assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10]);
}

#[tokio::test]
async fn a_secured_cluster_lets_in_whom_it_should() {
    let _turn = turn().await;
    let cluster = Cluster::builder("secured").tls().user("alice", "alice-pw").authorizer().start().await;
    cluster.client().create_topic("orders", 1, &[]).await;

    assert_eq!(ask(&cluster.tls_client(), 30_000).await, Ok(vec![1]));
    let files: &Certificates = cluster.certificates();
    let stranger = cluster
        .tls_client()
        .with("ssl.certificate.location", &files.stranger_certificate().display().to_string())
        .with("ssl.key.location", &files.stranger_key().display().to_string());
    assert!(ask(&stranger, 3_000).await.is_err());

    for listener in [Listener::Sasl, Listener::SaslTls] {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let alice = cluster.sasl_client(listener, mechanism, "alice");
            assert_eq!(ask(&alice, 30_000).await, Ok(vec![1]), "{listener:?} {mechanism}");
            let wrong = alice.with("sasl.password", "wrong");
            assert!(ask(&wrong, 3_000).await.is_err(), "{listener:?} {mechanism}");
        }
    }

    let alice = cluster.sasl_client(Listener::Sasl, "PLAIN", "alice");
    assert_eq!(alice.topics().await.get("orders"), None, "not without a right");
    let grant = ["--add", "--allow-principal", "User:alice", "--operation", "All", "--topic", "orders"];
    cluster.acls(&grant).await;
    wait_for("alice to see the topic", async || match alice.topics().await {
        topics if topics.contains_key("orders") => Ok(()),
        topics => Err(format!("{topics:?}")),
    })
    .await;
    alice.produce("orders", 0, TestRecord::numbered(1)).await;
}

#[tokio::test]
async fn the_binary_can_be_stalled_killed_and_started_again() {
    let Pair { east, west } = pair().await;
    let name = topic("idle");
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = MirrorProcess::start(&topology(&[east, west], &flows), &[]);
    mirror.ready().await;
    assert!(mirror.resident_bytes() > 1_000_000);
    mirror.pause();
    mirror.status().await.expect_err("a stalled process does not answer");
    mirror.resume();
    mirror.ready().await;
    mirror.kill();
    mirror.launch();
    mirror.ready().await;
    assert_eq!(mirror.terminate().await, Some(0));

    let broken = MirrorProcess::start("mesh: [", &[]);
    assert_eq!(broken.ended().await, Some(2), "{}", broken.output());

    let other = MirrorProcess::prepare("mesh: [", &[]).of(Path::new("false"));
    other.launch();
    assert_eq!(other.ended().await, Some(1), "another program takes the place of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_run_each_its_engine_beside_the_other() {
    let Pair { east, west } = pair().await;
    let name = topic("twins");
    east.client().create_topic(&name, 1, &[]).await;
    east.client().produce(&name, 0, TestRecord::numbered(10)).await;
    let twins: [Twin; 2] = twins("east", &[], |source| {
        let flows = flow(&name, source, "west", &[&name], &[]);
        topology_as(&[(source, east), ("west", west)], Listener::Internal, &flows)
    });
    for twin in &twins {
        twin.mirror.ready().await;
        await_exact(east.client(), &name, west.client(), &twin.remote(&name)).await;
        let status = twin.mirror.status().await.expect("a mirror that is ready answers");
        assert_eq!(status["flows"][0]["engine"], twin.engine.name(), "{status}");
    }
    assert_ne!(twins[0].remote(&name), twins[1].remote(&name));
}

#[tokio::test]
async fn mirror_makers_client_finds_no_upstream_where_there_is_none() {
    let bootstrap = pair().await.east.bootstrap();
    // Others mirror to the shared cluster, but none from a cluster of this name.
    let nobody = random_text(8).to_lowercase();
    let said = java(&java_source("Upstreams.java"), &[bootstrap, &nobody]).await;
    let (upstreams, hops) = said.trim_end().split_once('\n').expect("two lines");
    let found = upstreams.strip_prefix("upstreams ").expect("the upstreams first");
    assert!(found.split(' ').all(|upstream| upstream != nobody), "{said}");
    assert_eq!(hops, format!("hops {nobody} -1"));
}

#[tokio::test]
async fn a_java_program_that_fails_is_told() {
    let error = try_java("no.such.Program", &[]).await.expect_err("there is no such program");
    assert!(error.starts_with("no.such.Program failed") && error.contains("no.such.Program\n"), "{error}");
}

/// Plays two parts: started by itself once more, it only starts a child and waits to be killed.
#[tokio::test]
async fn no_child_outlives_a_killed_test_process() {
    const PART: &str = "MIRRORMESH_HARNESS_CHILD";
    let dir = fresh_dir("outlive");
    if std::env::var_os(PART).is_some() {
        let child = Process::spawn("sleeper", &["sleep", "600"], &dir, &dir.join("log"));
        println!("child {} ready", child.pid());
        std::future::pending::<()>().await;
    }
    let mut parent = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", "harness::no_child_outlives_a_killed_test_process", "--nocapture"])
        .env(PART, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary can be started");
    let lines = BufReader::new(parent.stdout.take().expect("stdout is a pipe")).lines();
    let pid: u32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.split("child ").nth(1)?.strip_suffix(" ready")?.parse().ok())
        .expect("the other part prints its child's pid");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    parent.kill().expect("a running child can be killed");
    parent.wait().expect("a killed child can be waited for");
    wait_for("the child to be gone", async || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // Dead, but not yet reaped by its new parent.
        Ok(stat) if !stat.contains(") Z ") => Err(stat),
        _ => Ok(()),
    })
    .await;
}

async fn ask(client: &KafkaClient, timeout_ms: u64) -> Result<Vec<i32>, KafkaError> {
    let client = client.clone();
    blocking(move || client.broker_ids(Duration::from_millis(timeout_ms))).await
}

#[tokio::test]
async fn a_load_knows_what_was_acknowledged_while_its_broker_dies() {
    let _turn = turn().await;
    let cluster = Cluster::builder("loaded").start().await;
    let client = cluster.client();
    client.create_topic("orders", 2, &[]).await;
    let load = Load::on(client).topic("orders", 2).rate(2_000).value_bytes(50).codec("zstd").start();
    load.progress(500).await;
    cluster.kill();
    cluster.start().await;
    load.progress(500).await;
    let acknowledged = load.stop().await;
    verify_acknowledged(client, "orders", &acknowledged).await;
    let count: usize = acknowledged.values().map(Vec::len).sum();
    assert_eq!(client.end_offsets("orders").await.iter().sum::<i64>(), i64::try_from(count).unwrap());
    assert_eq!(verify_exact(client, "orders", client, "orders").await, count);
}

#[tokio::test]
async fn a_copy_that_is_not_exact_is_told_apart() {
    let Pair { east, west } = pair().await;
    assert_eq!((east.name(), west.name()), ("east", "west"));
    let (from, to) = (east.client(), west.client());
    let name = topic("copy");
    from.create_topic(&name, 1, &[]).await;
    to.create_topic(&name, 1, &[]).await;
    let records: Vec<TestRecord> = TestRecord::numbered(3).into_iter().map(|r| r.at(1_000)).collect();
    from.produce(&name, 0, records.clone()).await;
    to.produce(&name, 0, records[..2].to_vec()).await;
    let report = compare(from, &name, to, &name).await.expect_err("one is missing");
    assert!(report.contains("1 missing, 0 surplus") && report.contains("index 2"), "{report}");
    to.produce(&name, 0, records[2..].to_vec()).await;
    assert_eq!(await_exact(from, &name, to, &name).await, 3);
    to.produce(&name, 0, records[..1].to_vec()).await;
    let report = compare(from, &name, to, &name).await.expect_err("one is there twice");
    assert!(report.contains("0 missing, 1 surplus") && report.contains("index 3"), "{report}");
}

#[test]
fn another_order_timestamp_or_header_is_a_difference() {
    let [a, b] = [TestRecord::new("k", "a").at(1), TestRecord::new("k", "b").at(1)];
    assert_eq!(difference(&[&a, &b], &[&a, &b]), None);
    let order = difference(&[&a, &b], &[&b, &a]).expect("the order differs");
    assert!(order.contains("0 missing, 0 surplus, the same records in another order"), "{order}");
    for other in [a.clone().at(2), a.clone().header("h", None), TestRecord { key: None, ..a.clone() }] {
        let report = difference(&[&a], &[&other]).expect("the record differs");
        assert!(report.contains("1 missing, 1 surplus"), "{report}");
    }
}
