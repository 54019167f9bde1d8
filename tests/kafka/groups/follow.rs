//! What a group had not read on the source is what it reads on the target.

use super::OFTEN;
use super::reader::{all_records, await_places, read_on};
use crate::common::topologies::{flow, topology};
use crate::common::{MirrorProcess, Protocol, TestRecord, await_exact, pair, topic, wait_for};

/// A group at the end of a topic and one in the middle, on a topic of three partitions of which one has no record; then
/// they go on and rewind.
#[tokio::test(flavor = "multi_thread")]
async fn groups_go_on_where_they_were() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let orders = topic("followed");
    let remote = format!("east.{orders}");
    let [at_end, behind] = ["end", "behind"].map(|name| format!("{orders}-{name}"));
    east.create_topic(&orders, 3, &[]).await;
    east.produce(&orders, 0, TestRecord::numbered(500)).await;
    east.produce(&orders, 1, TestRecord::numbered(300)).await;
    let all = read_on(east, &at_end, &orders, usize::MAX, true).await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [500, 300, 0]);
    east.commit(&behind, &[(&orders, 0, 120, "x"), (&orders, 1, 0, ""), (&orders, 2, 0, "")]).await;

    let flows = flow(&orders, "east", "west", &[&orders], &[OFTEN]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &orders, west, &remote).await;
    await_places(west, &at_end, &remote, &[500, 300, 0]).await;
    await_places(west, &behind, &remote, &[120, 0, 0]).await;
    // It goes on, and goes back.
    east.commit(&behind, &[(&orders, 0, 480, "")]).await;
    await_places(west, &behind, &remote, &[480, 0, 0]).await;
    east.commit(&behind, &[(&orders, 0, 60, "")]).await;
    await_places(west, &behind, &remote, &[60, 0, 0]).await;

    let unread = read_on(west, &behind, &remote, usize::MAX, false).await;
    assert_eq!(unread, [all[0][60..].to_vec(), all[1].clone(), vec![]]);
    let unread = read_on(west, &at_end, &remote, usize::MAX, false).await;
    assert_eq!(unread, vec![Vec::new(); 3]);
}

/// Members on the target are left alone, and told of; once they have left, the group follows again. A group that is
/// deleted on the source keeps its place on the target.
#[tokio::test(flavor = "multi_thread")]
async fn members_on_the_target_are_left_alone() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let orders = topic("members");
    let remote = format!("east.{orders}");
    let group = format!("{orders}-group");
    east.create_topic(&orders, 1, &[]).await;
    east.produce(&orders, 0, TestRecord::numbered(100)).await;
    east.commit(&group, &[(&orders, 0, 10, "")]).await;
    let flows = flow(&orders, "east", "west", &[&orders], &[OFTEN]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &orders, west, &remote).await;
    await_places(west, &group, &remote, &[10]).await;

    for protocol in [Protocol::Classic, Protocol::Consumer] {
        let before = west.committed(&group, &remote).await;
        let told = mirror.events("group_refused").await.len();
        let member = west.join(&group, &remote, protocol).await;
        let offset = if protocol == Protocol::Classic { 20 } else { 30 };
        east.commit(&group, &[(&orders, 0, offset, "")]).await;
        wait_for("the members to be told of", async || {
            let events = mirror.events("group_refused").await;
            match events.len() > told && events.iter().all(|event| event["details"]["class"] == "active") {
                true => Ok(()),
                false => Err(format!("{events:?}")),
            }
        })
        .await;
        assert_eq!(west.committed(&group, &remote).await, before, "not while it works");
        member.leave().await;
        await_places(west, &group, &remote, &[usize::try_from(offset).unwrap()]).await;
    }

    let other = format!("{orders}-other");
    east.commit(&other, &[(&orders, 0, 50, "")]).await;
    await_places(west, &other, &remote, &[50]).await;
    let deleted = east.admin().delete_groups(&[&group], &rdkafka::admin::AdminOptions::new()).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    wait_for("the deletion to be told", async || {
        let events = mirror.events("group_refused").await;
        match events.iter().any(|event| event["details"]["class"] == "source_gone") {
            true => Ok(()),
            false => Err(format!("{events:?}")),
        }
    })
    .await;
    east.commit(&other, &[(&orders, 0, 60, "")]).await;
    await_places(west, &other, &remote, &[60]).await;
    assert_eq!(west.committed(&group, &remote).await, [Some(30)]);
    assert_eq!(all_records(west, &remote).await[0].len(), 100);
}
