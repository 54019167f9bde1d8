//! Logs whose offsets are not those of their copies: long ones, with transactions, compacted.

use super::OFTEN;
use super::reader::{all_records, await_places, places, read_on};
use crate::common::topologies::{flow, topology};
use crate::common::{
    Ending, Engine, MirrorProcess, Produce, TestRecord, await_exact, await_growth, both_engines, pair, topic,
    wait_for,
};

both_engines! {
    a_topic_with_transactions,
    a_compacted_topic,
}

/// A group in the middle of a million records goes on at the very record.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_far_behind() {
    const RECORDS: usize = 1_000_000;
    const READ: usize = 123_457;
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let orders = topic("million");
    let remote = format!("east.{orders}");
    let group = format!("{orders}-group");
    east.create_topic(&orders, 1, &[]).await;
    for from in (0..RECORDS).step_by(100_000) {
        let records = (from..from + 100_000).map(|n| TestRecord::new("k", &n.to_string())).collect();
        east.produce(&orders, 0, records).await;
    }
    east.commit(&group, &[(&orders, 0, READ as i64, "")]).await;
    let flows = flow(&orders, "east", "west", &[&orders], &[OFTEN]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    wait_for("the group to be where it was", async || match west.committed(&group, &remote).await[..] {
        [Some(offset)] if offset == READ as i64 => Ok(()),
        ref other => Err(format!("{other:?}")),
    })
    .await;
    // A reader that comes to the end of the copy stops there.
    let all = RECORDS as i64;
    await_growth(&format!("{all} records of {remote}"), all, async || Ok(west.end_offsets(&remote).await[0]))
        .await;
    let unread = read_on(west, &group, &remote, 2_000, false).await;
    let expected = (READ..).map(|n| ("k".to_owned(), Some(n.to_string())));
    assert!(unread[0].len() >= 2_000 && unread[0].iter().cloned().eq(expected.take(unread[0].len())));
}

/// Markers and aborted records are on the source only: offsets of the two sides drift apart.
async fn a_topic_with_transactions(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let orders = topic("transactional");
    let remote = format!("east.{orders}");
    east.create_topic(&orders, 1, &[]).await;
    for round in 0..8 {
        let ending = if round % 3 == 1 { Ending::Abort } else { Ending::Commit };
        let records = (0..25).map(|n| TestRecord::new(&format!("{round}"), &n.to_string())).collect();
        east.produce_with(&orders, 0, records, Produce::new().transaction(&orders, ending)).await;
    }
    let all = all_records(east, &orders).await.remove(0);
    // One group per place: in a transaction, at a marker, among aborted records, at the end.
    let offsets = [0, 13, 25, 26, 30, 51, 52, 60, 208];
    let group = |offset: i64| format!("{orders}-{offset}");
    for offset in offsets {
        east.commit(&group(offset), &[(&orders, 0, offset, "")]).await;
    }
    let flows = flow(&orders, "east", "west", &[&orders], &[OFTEN]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &orders, west, &remote).await;
    for offset in offsets {
        let place = places(east, &group(offset), &orders).await[0].unwrap();
        await_places(west, &group(offset), &remote, &[place]).await;
        let unread = read_on(west, &group(offset), &remote, usize::MAX, false).await;
        assert_eq!(unread, [all[place..].to_vec()], "committed {offset}");
    }
}

/// Keys that were compacted away leave gaps on the source; a group may stand in one.
async fn a_compacted_topic(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let orders = topic("compacted");
    let remote = format!("east.{orders}");
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    east.create_topic(&orders, 1, &configs).await;
    for round in 0..6 {
        let key = |n: usize| if n.is_multiple_of(3) { format!("once-{round}-{n}") } else { format!("k-{n}") };
        let records = (0..40).map(|n| TestRecord::new(&key(n), &format!("{round}"))).collect();
        east.produce(&orders, 0, records).await;
    }
    wait_for("the source to be compacted", async || {
        east.produce(&orders, 0, vec![TestRecord::new("roll", "")]).await;
        match east.consume_all(&orders).await[0].len() {
            records if records < 200 => Ok(()),
            records => Err(format!("{records} records")),
        }
    })
    .await;
    // From here on the log stays as it is.
    east.set_topic_config(&orders, "cleanup.policy", "delete").await;
    let offsets = [0, 1, 41, 77, 100, 121, 199, 230];
    let group = |offset: i64| format!("{orders}-{offset}");
    for offset in offsets {
        east.commit(&group(offset), &[(&orders, 0, offset, "")]).await;
    }
    let flows = flow(&orders, "east", "west", &[&orders], &[OFTEN]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &orders, west, &remote).await;
    let all = all_records(east, &orders).await.remove(0);
    for offset in offsets {
        let place = places(east, &group(offset), &orders).await[0].unwrap();
        await_places(west, &group(offset), &remote, &[place]).await;
        let unread = read_on(west, &group(offset), &remote, usize::MAX, false).await;
        assert_eq!(unread, [all[place..].to_vec()], "committed {offset}");
    }
}
