//! Failover and back: who reads on elsewhere reads nothing twice and misses nothing.

use super::OFTEN;
use super::reader::{Read, all_records, await_places, read_on};
use crate::common::topologies::{flow, topology};
use crate::common::{
    Ending, KafkaClient, MirrorProcess, Produce, TestRecord, await_exact, pair, topic, wait_for,
};

/// Two partitions: one written in transactions, so that offsets differ on the two sides, and one plain.
async fn write(client: &KafkaClient, name: &str, round: usize) {
    let records = |from: usize, count: usize| -> Vec<TestRecord> {
        (from..from + count).map(|n| TestRecord::new(&format!("{round}-{n}"), &format!("v-{n}"))).collect()
    };
    for (part, ending) in [Ending::Commit, Ending::Abort, Ending::Commit].into_iter().enumerate() {
        let produce = Produce::new().transaction(name, ending);
        client.produce_with(name, 0, records(part * 100, 60), produce).await;
    }
    client.produce(name, 1, records(0, 90)).await;
}

/// What the group has read so far, wherever it was.
struct Journey {
    group: String,
    read: Vec<Vec<Read>>,
}

impl Journey {
    /// Reads on at one side.
    async fn read(&mut self, client: &KafkaClient, topic: &str, most: usize) {
        let fresh = self.read.iter().all(Vec::is_empty);
        let more = read_on(client, &self.group, topic, most, fresh).await;
        assert!(more.iter().any(|partition| !partition.is_empty()), "there was something to read");
        for (all, more) in self.read.iter_mut().zip(more) {
            all.extend(more);
        }
    }

    fn places(&self) -> Vec<usize> {
        self.read.iter().map(Vec::len).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_works_here_and_there_and_reads_everything_once() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let orders = topic("failback");
    let remote = format!("east.{orders}");
    for client in [east, west] {
        client.create_topic(&orders, 2, &[]).await;
    }
    write(east, &orders, 0).await;
    let mut journey = Journey { group: format!("{orders}-group"), read: vec![Vec::new(); 2] };
    journey.read(east, &orders, 70).await;

    let topics = format!(".*{orders}");
    let flows = flow(&format!("{orders}-ew"), "east", "west", &[&topics], &[OFTEN])
        + &flow(&format!("{orders}-we"), "west", "east", &[&topics], &[OFTEN]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &orders, west, &remote).await;

    // Failover, and back, and over again; the process is killed once on the way.
    for round in 1..=2 {
        await_places(west, &journey.group, &remote, &journey.places()).await;
        journey.read(west, &remote, 50).await;
        write(east, &orders, round).await;
        await_exact(east, &orders, west, &remote).await;
        journey.read(west, &remote, 60).await;
        if round == 1 {
            mirror.kill();
            mirror.launch();
            mirror.ready().await;
        }
        await_places(east, &journey.group, &orders, &journey.places()).await;
        journey.read(east, &orders, 80).await;
    }
    await_places(west, &journey.group, &remote, &journey.places()).await;
    journey.read(west, &remote, usize::MAX).await;
    assert_eq!(journey.read, all_records(east, &orders).await);
    await_places(east, &journey.group, &orders, &journey.places()).await;
    assert!(mirror.events("group_conflict").await.is_empty(), "nobody was in anybody's way");
}

/// A group that was committed on both sides is left on both, told once, and followed again when one side gives in.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_both_sides_moved_is_left_and_told() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let orders = topic("both");
    let remote = format!("east.{orders}");
    let group = format!("{orders}-group");
    east.create_topic(&orders, 1, &[]).await;
    east.produce(&orders, 0, TestRecord::numbered(100)).await;
    east.commit(&group, &[(&orders, 0, 10, "")]).await;
    let topics = format!(".*{orders}");
    let flows = flow(&format!("{orders}-ew"), "east", "west", &[&topics], &[OFTEN])
        + &flow(&format!("{orders}-we"), "west", "east", &[&topics], &[OFTEN]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &orders, west, &remote).await;
    await_places(west, &group, &remote, &[10]).await;
    // While nobody looks.
    assert_eq!(mirror.terminate().await, Some(0));
    east.commit(&group, &[(&orders, 0, 20, "")]).await;
    west.commit(&group, &[(&remote, 0, 30, "")]).await;
    mirror.launch();
    mirror.ready().await;
    let conflict = wait_for("the conflict to be told", async || {
        let events = mirror.events("group_conflict").await;
        events
            .into_iter()
            .find(|event| event["details"]["group"] == group.as_str())
            .ok_or("no event".to_owned())
    })
    .await;
    let told = conflict.to_string();
    for part in ["20", "30", &orders, &remote] {
        assert!(told.contains(part), "it names {part}: {told}");
    }
    assert_eq!(east.committed(&group, &orders).await, [Some(20)]);
    assert_eq!(west.committed(&group, &remote).await, [Some(30)]);
    // A person decides: the source goes where the target is.
    east.commit(&group, &[(&orders, 0, 30, "")]).await;
    wait_for("the group to be in step", async || match mirror.events("group_recovered").await.len() {
        0 => Err("no event".to_owned()),
        _ => Ok(()),
    })
    .await;
    west.commit(&group, &[(&remote, 0, 40, "")]).await;
    await_places(east, &group, &orders, &[40]).await;
    let conflicts = mirror.events("group_conflict").await;
    assert_eq!(conflicts.iter().filter(|event| event["details"]["group"] == group.as_str()).count(), 1);
}
