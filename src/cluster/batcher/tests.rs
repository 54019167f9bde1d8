use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::wire::ResponseError;
use crate::wire::testing::settings;

fn wire() -> Wire {
    Wire::new("east".into(), &settings("127.0.0.1:1")).expect("nothing is asked yet")
}

fn moved() -> WireError {
    WireError::refused(&"east".into(), ResponseError::NotLeaderOrFollower, None)
}

/// An answer, or the broker's error code.
type AskOutcome = Result<u32, Option<ResponseError>>;

const MOVED: AskOutcome = Err(Some(ResponseError::NotLeaderOrFollower));

async fn ask(batcher: &Batcher<u32, u32>, question: u32) -> AskOutcome {
    batcher.ask(question).await.map_err(|error| error.code())
}

/// Odd questions have no leader until they may have one; even ones have their answer at once.
fn batcher(leader: Arc<AtomicU32>, tries: Arc<AtomicU32>, tried: Arc<Notify>) -> Batcher<u32, u32> {
    Batcher::start(wire(), move |_, questions: Vec<u32>| {
        let has_leader = leader.load(Ordering::SeqCst) == 1;
        if questions.iter().any(|question| question % 2 == 1) {
            tries.fetch_add(1, Ordering::SeqCst);
            tried.notify_one();
        }
        let answer =
            move |question| if question % 2 == 0 || has_leader { Ok(question * 10) } else { Err(moved()) };
        async move { Ok(questions.into_iter().map(answer).collect()) }
    })
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_holds_up_nobody() {
    let (leader, tries, tried) = (Arc::default(), Arc::default(), Arc::new(Notify::new()));
    let batcher = batcher(Arc::clone(&leader), Arc::clone(&tries), tried.clone());
    let (reply, mut stuck) = oneshot::channel();
    batcher.asks.send((1, reply)).expect("the task runs");
    assert_eq!(ask(&batcher, 2).await, Ok(20), "of the same round");
    tried.notified().await;
    assert_eq!(ask(&batcher, 4).await, Ok(40), "while the first pauses");
    assert!(matches!(stuck.try_recv(), Err(TryRecvError::Empty)));
    leader.store(1, Ordering::SeqCst);
    assert_eq!(stuck.await.expect("it is answered").map_err(|error| error.code()), Ok(10));
    assert!(tries.load(Ordering::SeqCst) >= 2);
}

#[tokio::test(start_paused = true)]
async fn what_stays_without_a_leader_is_told_in_the_end() {
    let (leader, tries) = (Arc::default(), Arc::<AtomicU32>::default());
    let batcher = batcher(leader, Arc::clone(&tries), Arc::default());
    assert_eq!(ask(&batcher, 1).await, MOVED);
    assert!(tries.load(Ordering::SeqCst) > 5, "as often as the request timeout allows");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_not_asked_again() {
    let (leader, tries, tried) = (Arc::default(), Arc::<AtomicU32>::default(), Arc::new(Notify::new()));
    let batcher = batcher(leader, Arc::clone(&tries), tried.clone());
    let (reply, answer) = oneshot::channel();
    drop(answer);
    batcher.asks.send((1, reply)).expect("the task runs");
    tried.notified().await;
    // Virtual time, far beyond the longest pause.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    assert_eq!(ask(&batcher, 2).await, Ok(20));
}

#[tokio::test]
async fn a_request_that_fails_is_told_to_all() {
    let batcher: Batcher<u32, u32> = Batcher::start(wire(), |_, _| async { Err(moved().settle()) });
    assert_eq!(tokio::join!(ask(&batcher, 1), ask(&batcher, 2)), (MOVED, MOVED));
}
