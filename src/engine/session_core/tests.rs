use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::model::TopicPartition;

/// Counts what it was told.
#[derive(Default)]
struct Counting {
    told: Mutex<Vec<String>>,
}

impl SessionLane for Counting {
    fn lost(&self, event: LaneEvent) {
        let LaneEvent::SessionLost(reason) = event else { panic!("{event:?}") };
        self.told.lock().push(reason);
    }
}

type Lost = Arc<Mutex<Vec<String>>>;

fn session() -> (Arc<SessionCore<Counting>>, Lost) {
    let lost = Lost::default();
    let told = lost.clone();
    (Arc::new(SessionCore::new(Box::new(move |reason| told.lock().push(reason)))), lost)
}

fn id(partition: i32) -> LaneId {
    TopicPartition::new("orders", partition)
}

#[test]
fn a_lane_is_made_once() {
    let (session, _) = session();
    assert!(session.lane(&id(0)).is_none());
    let lane = session.lane_or(&id(0), Counting::default);
    let again = session.lane_or(&id(0), || panic!("it is there"));
    assert!(Arc::ptr_eq(&lane, &again));
    assert_eq!(session.lanes().len(), 1);
}

#[test]
fn the_first_end_is_told_to_everyone_and_the_only_one() {
    let (session, lost) = session();
    let lanes = [0, 1].map(|partition| session.lane_or(&id(partition), Counting::default));
    let stops = AtomicUsize::new(0);
    let stop = || {
        stops.fetch_add(1, Ordering::Relaxed);
        assert!(lanes[0].told.lock().is_empty(), "nothing is taken in any more when lanes are told");
    };
    session.check().unwrap();
    session.lose("a panic".to_owned(), stop);
    session.lose("another".to_owned(), stop);
    assert!(!session.end("a third".to_owned(), stop));
    assert_eq!((session.ended(), stops.load(Ordering::Relaxed)), (Some("a panic"), 1));
    assert_eq!(*lost.lock(), ["a panic"]);
    for lane in &lanes {
        assert_eq!(*lane.told.lock(), ["a panic"]);
    }
    assert!(matches!(session.check(), Err(EngineError::SessionLost(reason)) if reason == "a panic"));
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn a_shutdown_waits_for_answers_as_long_as_it_may_and_is_no_loss() {
    let (session, lost) = session();
    let lane = session.lane_or(&id(0), Counting::default);
    let over = tokio::spawn({
        let session = session.clone();
        async move { session.over().await }
    });
    let started = tokio::time::Instant::now();
    let deadline = Duration::from_secs(5);
    session.shut_down(deadline, std::future::pending(), || {}).await;
    assert_eq!(started.elapsed(), deadline);
    over.await.unwrap();
    assert_eq!((lane.told.lock().len(), lost.lock().len()), (1, 0));
    session.shut_down(deadline, std::future::pending(), || panic!("it has ended")).await;
    assert_eq!(started.elapsed(), deadline, "nobody answers a session that has ended");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_once_everything_is_answered() {
    let (session, _) = session();
    let lane = session.lane_or(&id(0), Counting::default);
    let answered = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(lane.told.lock().is_empty(), "lanes are open until then");
    };
    session.shut_down(Duration::from_secs(60), answered, || {}).await;
    assert_eq!(*lane.told.lock(), ["it was shut down"]);
}
