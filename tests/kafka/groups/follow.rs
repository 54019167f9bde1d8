//! What a group had not read on the source is what it reads on the target.

use super::reader::read_on;
use crate::common::topologies::{flow, topology};
use crate::common::{MirrorProcess, TestRecord, await_exact, pair, topic, wait_for};

/// Groups are looked at often, so that tests needn't wait.
pub const OFTEN: &str = "groups: { interval: 300ms }";

/// A group at the end of a topic, one in the middle and one that has never been there, on a topic of three partitions
/// of which one has no record.
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
    for (group, offsets) in
        [(&at_end, [Some(500), Some(300), Some(0)]), (&behind, [Some(120), Some(0), Some(0)])]
    {
        wait_for("the group to be where it was", async || match west.committed(group, &remote).await {
            found if found == offsets => Ok(()),
            found => Err(format!("{group}: {found:?}")),
        })
        .await;
    }
    let unread = read_on(west, &behind, &remote, usize::MAX, false).await;
    assert_eq!(unread, [all[0][120..].to_vec(), all[1].clone(), vec![]]);
    let unread = read_on(west, &at_end, &remote, usize::MAX, false).await;
    assert_eq!(unread, vec![Vec::new(); 3]);
}
