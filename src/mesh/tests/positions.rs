//! Positions that can't be written for a while.

use super::twin::{POSITIONS, Twin};
use crate::fake::Fault;
use crate::model::FaultKind;
use crate::model::status::PartitionState;
use crate::wire::{ApiKey, ResponseError};

/// R3, R4, R10: a refused position is a fault of its partition until one is stored; no record is repeated for it.
#[tokio::test]
async fn a_refused_position_is_a_fault_until_it_is_stored() {
    let twin = Twin::with_orders(20).await;
    let mesh = twin.mirror("passthrough").await;
    twin.saved().await;
    let actors = mesh.partition_actors();

    twin.west.fail(Fault::of(ApiKey::Produce, ResponseError::TopicAuthorizationFailed).on(POSITIONS));
    twin.produce("refused", 20);
    let fault = || mesh.partition().and_then(|partition| partition.fault);
    twin.until("the fault shows", || fault() == Some(FaultKind::PositionStore)).await;
    twin.until("it is told", || !mesh.events("faulted").is_empty()).await;
    assert_eq!(twin.position().map(|position| position.source_next), Some(20), "nothing new was stored");
    let told = mesh.events("faulted");
    assert_eq!((told.len(), told[0].details.fault), (1, Some("position_store")), "{told:?}");
    let advice = told[0].details.advice.as_deref().unwrap_or_default();
    assert!(advice.contains("READ, WRITE and CREATE on the positions topic"), "{advice}");

    twin.west.heal();
    twin.saved().await;
    twin.until("the fault is over", || fault().is_none() && !mesh.events("recovered").is_empty()).await;
    let shown = mesh.partition().expect("the partition is there");
    assert_eq!((shown.state, shown.fault, shown.reason), (PartitionState::Streaming, None, None));
    assert_eq!((mesh.events("faulted").len(), mesh.events("recovered").len()), (1, 1));
    assert_eq!(mesh.partition_actors(), actors);
    mesh.stop().await;

    // What was stored is where the next process goes on.
    let next = twin.mirror("passthrough").await;
    twin.until("the partition streams", || next.streams()).await;
    let resumed = next.events("resumed");
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    assert_eq!((resumed[0].details.source_next, resumed[0].details.target_next), (Some(40), Some(40)));
    twin.produce("next", 5);
    twin.copied().await;
    next.stop().await;
    twin.assert_exact();
}

/// R4: replicas that are missing for a moment are no fault.
#[tokio::test]
async fn a_position_that_lacks_replicas_is_written_again() {
    let twin = Twin::with_orders(20).await;
    let mesh = twin.mirror("passthrough").await;
    twin.saved().await;
    let too_few = Fault::of(ApiKey::Produce, ResponseError::NotEnoughReplicas).on(POSITIONS).times(2);
    twin.west.fail(too_few);
    twin.produce("more", 20);
    twin.saved().await;
    twin.until("the partition streams", || mesh.streams()).await;
    assert!(mesh.events("faulted").is_empty(), "{:?}", mesh.events("faulted"));
    mesh.stop().await;
    twin.assert_exact();
}
