//! A group that is refused, beside one that isn't.

use super::twin::{Running, Twin};
use crate::fake::Fault;
use crate::model::groups::RefusalReason;
use crate::wire::{ApiKey, ResponseError};

/// Why a group is refused, as the board has it.
fn refused(mesh: &Running, group: &str) -> Option<RefusalReason> {
    let shown = mesh.context().groups.snapshot();
    shown.group(group)?.refused.as_ref().map(|refusal| refusal.reason)
}

/// Groups of the events of a name.
fn told(mesh: &Running, event: &str) -> Vec<String> {
    mesh.events(event).into_iter().filter_map(|record| record.details.group).collect()
}

/// Waits for three more rounds over the groups.
async fn three_rounds(twin: &Twin) {
    // A round lists the groups of each of the two brokers once.
    twin.east.await_count(ApiKey::ListGroups, twin.east.count(ApiKey::ListGroups) + 6).await;
}

/// R9, R10: a refusal is told of its group, once, and no other group waits for it.
#[tokio::test]
async fn a_refused_group_stands_alone() {
    let twin = Twin::with_orders(60).await;
    twin.east.commit("billing", "orders", 0, 50);
    twin.east.commit("audit", "orders", 0, 30);
    let committed = |group: &str| twin.west.committed(group, "east.orders", 0);
    let denied = Fault::of(ApiKey::OffsetCommit, ResponseError::GroupAuthorizationFailed).on("billing");
    twin.west.fail(denied);
    let mesh = twin.mirror("passthrough").await;

    // Its commit is refused.
    twin.until("the refusal shows", || refused(&mesh, "billing") == Some(RefusalReason::Unauthorized)).await;
    twin.until("the other is committed", || committed("audit") == Some(30)).await;
    three_rounds(&twin).await;
    assert_eq!((told(&mesh, "group_refused"), committed("billing")), (vec!["billing".to_owned()], None));
    assert_eq!(refused(&mesh, "audit"), None);
    twin.west.heal();
    twin.until("it is committed", || committed("billing") == Some(50)).await;
    twin.until("its recovery is told", || told(&mesh, "group_recovered") == ["billing"]).await;

    // It may not be read on the source.
    twin.east.deny_group("billing");
    twin.until("the refusal shows", || refused(&mesh, "billing") == Some(RefusalReason::Unauthorized)).await;
    twin.east.commit("billing", "orders", 0, 55);
    twin.east.commit("audit", "orders", 0, 40);
    twin.until("the other is committed", || committed("audit") == Some(40)).await;
    three_rounds(&twin).await;
    assert_eq!(
        (told(&mesh, "group_refused"), committed("billing")),
        (vec!["billing".to_owned(); 2], Some(50))
    );
    twin.east.allow_all();
    twin.until("it is committed", || committed("billing") == Some(55)).await;
    twin.until("its recovery is told", || told(&mesh, "group_recovered") == ["billing", "billing"]).await;
    assert_eq!(refused(&mesh, "billing"), None);

    assert_eq!(mesh.flow().groups.map(|groups| groups.refused), Some(0));
    twin.copied().await;
    mesh.stop().await;
}
