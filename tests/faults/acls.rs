//! Rights that are missing: what stops, what goes on, what is told, and that granting them is enough.

use serde_json::Value;

use crate::common::topologies::{flow, topology_as};
use crate::common::{Cluster, Listener, TestRecord, Twin, await_exact, mirrormesh, twins, wait_for};

const PASSWORD: &str = "Sesam-oeffne-dich";

/// A topology in which `secured` is entered as the user `mirror`, who has the rights that ACLs grant; `source` is
/// what east is called.
fn mesh(source: &str, secured: &Cluster, open: &Cluster) -> String {
    let alias =
        |cluster: &Cluster| if cluster.name() == "east" { source.to_owned() } else { "west".to_owned() };
    let flows = flow("acl", source, "west", &["orders", "secret"], &["start: earliest"]);
    let yaml = topology_as(&[(&alias(open), open)], Listener::Internal, &flows);
    let bootstrap = secured.bootstrap_at(Listener::Sasl);
    let client = format!(
        "security.protocol: SASL_PLAINTEXT, sasl.mechanism: SCRAM-SHA-256, sasl.username: mirror, \
         sasl.password: {PASSWORD}"
    );
    let entry = format!("  {}: {{ bootstrap: \"{bootstrap}\", client: {{ {client} }} }}\n", alias(secured));
    yaml.replacen("clusters:\n", &format!("clusters:\n{entry}"), 1)
}

async fn grant(cluster: &Cluster, operations: &[&str], resource: &[&str]) {
    let mut arguments = vec!["--add", "--allow-principal", "User:mirror"];
    for operation in operations {
        arguments.extend(["--operation", operation]);
    }
    arguments.extend(resource);
    cluster.acls(&arguments).await;
}

fn partitions(status: &Value, topic: &str) -> Vec<Value> {
    let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|partition| partition["topic"] == topic).collect()
}

/// Waits until both partitions of `secret` are faulted with this class; returns the reasons.
async fn faulted(twin: &Twin, fault: &str) -> Vec<String> {
    let what = format!("both partitions of secret to be faulted with {fault}, {:?}", twin.engine);
    wait_for(&what, async || {
        let status = twin.mirror.status().await?;
        let partitions = partitions(&status, "secret");
        if partitions.len() == 2 && partitions.iter().all(|partition| partition["fault"] == fault) {
            Ok(partitions.iter().map(|partition| partition["reason"].to_string()).collect())
        } else {
            Err(status["flows"].to_string())
        }
    })
    .await
}

/// Waits until both partitions of `secret` go on, which takes up to a minute, and until the copy is whole.
async fn mended(twin: &Twin, east: &Cluster, west: &Cluster) {
    wait_for(&format!("both partitions of secret to stream, {:?}", twin.engine), async || {
        let status = twin.mirror.status().await?;
        let streaming = |partition: &Value| partition["state"] == "streaming";
        if partitions(&status, "secret").iter().all(streaming) {
            Ok(())
        } else {
            Err(status["flows"].to_string())
        }
    })
    .await;
    assert_eq!(await_exact(east.client(), "secret", west.client(), &twin.remote("secret")).await, 100);
}

async fn create_sources(east: &Cluster) {
    for name in ["orders", "secret"] {
        east.client().create_topic(name, 2, &[]).await;
        for partition in 0..2 {
            east.client().produce(name, partition, TestRecord::numbered(50)).await;
        }
    }
}

/// No partition of `orders` ever notices what happens to those of `secret`.
async fn orders_flow(twins: &[Twin], east: &Cluster, west: &Cluster) {
    east.client().produce("orders", 0, TestRecord::numbered(10)).await;
    for twin in twins {
        await_exact(east.client(), "orders", west.client(), &twin.remote("orders")).await;
        let faults = twin.mirror.events("faulted").await;
        let noticed: Vec<_> = faults.iter().filter(|fault| fault["topic"] == "orders").collect();
        assert!(noticed.is_empty(), "{:?}: {noticed:?}", twin.engine);
    }
}

/// R9: a topic that may not be read, on a source that lets us write nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_read_stops_alone_until_it_may() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(
        Cluster::builder("east").user("mirror", PASSWORD).authorizer().start(),
        Cluster::builder("west").start()
    );
    create_sources(&east).await;
    grant(&east, &["Describe", "DescribeConfigs"], &["--topic", "*"]).await;
    grant(&east, &["Read"], &["--topic", "orders"]).await;
    let checked = mirrormesh("check", &mesh("east", &east, &west), &[]).await;
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.stdout.contains("READ on topic secret of east"), "{checked:?}");
    assert!(!checked.stdout.contains("topic orders of east"), "{checked:?}");

    let twins = twins("east", &[], |source| mesh(source, &east, &west));
    for twin in &twins {
        for reason in faulted(twin, "source_unauthorized").await {
            for part in ["secret", "east", "READ"] {
                assert!(reason.contains(part), "{part} is missing in {reason} of {:?}", twin.engine);
            }
        }
    }
    orders_flow(&twins, &east, &west).await;
    grant(&east, &["Read"], &["--topic", "secret"]).await;
    for twin in &twins {
        mended(twin, &east, &west).await;

        // Meanwhile the source refused every heartbeat.
        let refused = twin.mirror.events("heartbeats_refused").await;
        assert_eq!(refused.len(), 1, "{refused:?}");
        let told = refused[0].to_string();
        assert!(told.contains("heartbeats") && told.contains("east"), "{told}");
        job_is_refused(twin, "heartbeats", "heartbeats").await;
    }
    assert!(!east.client().topics().await.contains_key("heartbeats"));
    for twin in &twins {
        assert_eq!(twin.mirror.terminate().await, Some(0), "{:?}", twin.engine);
    }
}

/// R3, R9: a remote topic that may not be written to.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_written_stops_alone_until_it_may() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(
        Cluster::builder("east").start(),
        Cluster::builder("west").user("mirror", PASSWORD).authorizer().start()
    );
    create_sources(&east).await;
    for source in ["east-passthrough", "east-records"] {
        let [positions, offsets, heartbeats, orders, secret] = [
            "__mirrormesh-positions.{}",
            "__mirrormesh-offsets.{}",
            "{}.heartbeats",
            "{}.orders",
            "{}.secret",
        ]
        .map(|name| name.replace("{}", source));
        for remote in [&heartbeats, &orders, &secret] {
            west.client().create_topic(remote, 2, &[]).await;
        }
        let granted =
            ["--topic", &positions, "--topic", &offsets, "--topic", &heartbeats, "--topic", &orders];
        grant(&west, &["All"], &granted).await;
        grant(&west, &["Describe", "DescribeConfigs"], &["--topic", &secret]).await;
    }
    let checked = mirrormesh("check", &mesh("east-records", &west, &east), &[]).await;
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.stdout.contains("WRITE on topic east-records.secret of west"), "{checked:?}");
    assert!(!checked.stdout.contains("east-records.orders of west"), "{checked:?}");

    let twins = twins("east", &[], |source| mesh(source, &west, &east));
    for twin in &twins {
        let secret = twin.remote("secret").to_uppercase();
        for reason in faulted(twin, "target_unauthorized").await {
            for part in [secret.as_str(), "WRITE", "WEST"] {
                assert!(reason.to_uppercase().contains(part), "{part} is missing in {reason}");
            }
        }
    }
    orders_flow(&twins, &east, &west).await;
    for twin in &twins {
        grant(&west, &["Write"], &["--topic", &twin.remote("secret")]).await;
    }
    for twin in &twins {
        mended(twin, &east, &west).await;
    }
    for twin in &twins {
        // Nor may MirrorMaker 2's topic be created, which stops nothing.
        let what = format!("the refusal of offset syncs to be told, {:?}", twin.engine);
        let refused = wait_for(&what, async || match twin.mirror.events("offset_syncs_refused").await {
            told if told.is_empty() => Err("nothing is told".to_owned()),
            told => Ok(told),
        })
        .await;
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(
            refused[0].to_string().contains(&format!("mm2-offset-syncs.{}.internal", twin.source)),
            "{refused:?}"
        );
        job_is_refused(twin, "offset syncs", &format!("mm2-offset-syncs.{}.internal", twin.source)).await;
    }
    orders_flow(&twins, &east, &west).await;
    for twin in &twins {
        assert_eq!(twin.mirror.terminate().await, Some(0), "{:?}", twin.engine);
    }
}

/// Waits until `/status` shows the job as refused, with a reason that names `topic`.
async fn job_is_refused(twin: &Twin, job: &str, topic: &str) {
    wait_for(&format!("the job {job} of {:?} to be refused", twin.engine), async || {
        let mut jobs = twin.mirror.jobs().await?;
        let job = jobs.remove(job).ok_or_else(|| format!("it is not among {jobs:?}"))?;
        let names_it = job["reason"].as_str().is_some_and(|reason| reason.contains(topic));
        if job["state"] == "refused" && names_it { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
}
