//! A job that panics.

use super::twin::{Running, Twin};
use crate::mesh::jobs::Double;
use crate::model::job::{JobState, JobStatus};

/// A job of the mesh's only flow.
fn job(mesh: &Running, name: &str) -> Option<JobStatus> {
    mesh.flow().jobs.into_iter().find(|job| job.name == name)
}

/// R9: a job that panics is shown as restarting and started again; the flow, its partitions and other jobs go on.
#[tokio::test]
async fn a_job_that_panics_is_started_again() {
    let plan = Double::plan("with-a-double");
    let twin = Twin::with_orders(20).await;
    twin.east.commit("audit", "orders", 0, 5);
    let mesh = twin.mesh(&["with-a-double: { from: east, to: west, topics: [orders] }"]).await;
    let state = |name: &str| job(&mesh, name).map(|job| job.state);
    twin.until("the panic shows", || state("double") == Some(JobState::Restarting)).await;
    twin.saved().await;
    let actors = (mesh.flow_actors(), mesh.partition_actors());

    let lives = plan.lives();
    twin.until("it is started again", || plan.lives() > lives + 1).await;
    // It panics still.
    let shown = job(&mesh, "double").expect("it is on the board");
    assert_eq!(shown.state, JobState::Restarting);
    assert!(shown.reason.as_deref().is_some_and(|why| why.contains("on purpose")), "{shown:?}");
    twin.produce("meanwhile", 20);
    twin.east.commit("audit", "orders", 0, 35);
    twin.saved().await;
    twin.until("groups go on", || twin.west.committed("audit", "east.orders", 0) == Some(35)).await;
    assert_eq!(state("consumer groups"), Some(JobState::Fine));
    assert_eq!(state("double"), Some(JobState::Restarting));

    plan.recover();
    twin.until("it is fine", || state("double") == Some(JobState::Fine)).await;
    assert_eq!(job(&mesh, "double").and_then(|job| job.reason), None);
    assert_eq!((mesh.flow_actors(), mesh.partition_actors()), actors);
    mesh.stop().await;
    twin.assert_exact();
}
