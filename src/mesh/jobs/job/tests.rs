//! Rounds in paused time, and their actor under a supervisor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use ractor::SupervisionEvent;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::*;
use crate::mesh::shared::supervise;
use crate::wire::{ResponseError, WireErrorKind};

const EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: Duration = Duration::ZERO;

/// Takes so long, and says so, one round after the other; the last one never ends.
struct ScriptedRound {
    first_after: Duration,
    rounds: std::vec::IntoIter<(Duration, Next)>,
    began: Instant,
    starts: mpsc::UnboundedSender<Duration>,
}

impl Job for ScriptedRound {
    const NAME: &'static str = "scripted";
    const RUNS_IN: RunsIn = RunsIn::FlowOwner;

    fn interval(&self) -> Duration {
        EVERY
    }

    fn first_after(&self) -> Duration {
        self.first_after
    }

    async fn run(&mut self) -> Round {
        self.starts.send(self.began.elapsed()).expect("the test listens");
        match self.rounds.next() {
            Some((takes, next)) => {
                sleep(takes).await;
                Round { next, ..Round::done() }
            }
            None => std::future::pending().await,
        }
    }
}

/// When each round started, in milliseconds, the one after the last included.
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn starts(first_after: Duration, rounds: &[(u64, Next)]) -> Vec<u128> {
    let rounds: Vec<_> = rounds.iter().map(|(takes, next)| (Duration::from_millis(*takes), *next)).collect();
    let count = rounds.len() + 1;
    let (starts, mut started) = mpsc::unbounded_channel();
    let rounds = rounds.into_iter();
    let running = tokio::spawn(repeat(
        ScriptedRound { first_after, rounds, began: Instant::now(), starts },
        JobBoard::default(),
    ));
    let mut all = Vec::new();
    while all.len() < count {
        all.push(started.recv().await.expect("the rounds go on").as_millis());
    }
    running.abort();
    all
}

#[tokio::test(start_paused = true)]
async fn rounds_start_every_interval_whatever_they_take() {
    let rounds = [(900, Next::OnTime), (0, Next::OnTime), (4_999, Next::OnTime), (5_000, Next::OnTime)];
    assert_eq!(starts(EVERY, &rounds).await, [5_000, 10_000, 15_000, 20_000, 25_000]);
    assert_eq!(starts(AT_ONCE, &rounds).await, [0, 5_000, 10_000, 15_000, 20_000]);
}

/// Neither two at once, nor several in a row to make up for it.
#[tokio::test(start_paused = true)]
async fn a_round_that_takes_too_long_is_followed_at_once() {
    let rounds = [(17_000, Next::OnTime), (1_000, Next::OnTime), (0, Next::OnTime)];
    assert_eq!(starts(AT_ONCE, &rounds).await, [0, 17_000, 22_000, 27_000]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_counts_from_the_end_of_the_round() {
    let rounds = [(2_000, Next::After(Duration::from_secs(60))), (1_000, Next::OnTime)];
    assert_eq!(starts(AT_ONCE, &rounds).await, [0, 62_000, 67_000]);
}

/// Takes longer than the interval, and wakes somebody at its end.
struct Late {
    woken: Arc<Notify>,
    turns: Arc<AtomicU32>,
    seen: mpsc::UnboundedSender<u32>,
}

impl Job for Late {
    const NAME: &'static str = "late";
    const RUNS_IN: RunsIn = RunsIn::FlowOwner;

    fn interval(&self) -> Duration {
        EVERY
    }

    async fn run(&mut self) -> Round {
        self.seen.send(self.turns.load(Ordering::Relaxed)).expect("the test listens");
        sleep(2 * EVERY).await;
        self.woken.notify_one();
        Round::done()
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn rounds_that_are_always_late_leave_others_their_turns() {
    let (woken, turns) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let (seen, mut all) = mpsc::unbounded_channel();
    let running =
        tokio::spawn(repeat(Late { woken: woken.clone(), turns: turns.clone(), seen }, JobBoard::default()));
    let other = tokio::spawn(async move {
        loop {
            woken.notified().await;
            turns.fetch_add(1, Ordering::Relaxed);
        }
    });
    for rounds in 0..10 {
        assert_eq!(all.recv().await, Some(rounds), "the other task has a turn after each round");
    }
    running.abort();
    other.abort();
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn an_interval_that_no_clock_can_count_is_never() {
    struct Never;
    impl Job for Never {
        const NAME: &'static str = "never";
        const RUNS_IN: RunsIn = RunsIn::FlowOwner;

        fn interval(&self) -> Duration {
            Duration::MAX
        }

        async fn run(&mut self) -> Round {
            panic!("it is never due");
        }
    }
    let running = tokio::spawn(repeat(Never, JobBoard::default()));
    sleep(Duration::from_secs(365 * 24 * 3600)).await;
    assert!(!running.is_finished());
    running.abort();
}

/// Hears how its children end.
struct Supervisor;

impl Actor for Supervisor {
    type Msg = ();
    type State = mpsc::UnboundedSender<Option<String>>;
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _myself: ActorRef<()>,
        ends: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(ends)
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<()>,
        event: SupervisionEvent,
        ends: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some((_, failure)) = supervise::ended(event) {
            ends.send(failure.map(|failure| failure.to_string()))?;
        }
        Ok(())
    }
}

/// Panics, or hangs and tells when it is dropped.
struct Fated {
    panics: bool,
    hung: Arc<Mutex<Option<oneshot::Sender<()>>>>,
    started: mpsc::UnboundedSender<()>,
}

impl Job for Fated {
    const NAME: &'static str = "fated";
    const RUNS_IN: RunsIn = RunsIn::FlowOwner;

    fn interval(&self) -> Duration {
        EVERY
    }

    fn first_after(&self) -> Duration {
        AT_ONCE
    }

    async fn run(&mut self) -> Round {
        assert!(!self.panics, "as told");
        let _hung = self.hung.lock().take();
        self.started.send(()).expect("the test listens");
        std::future::pending().await
    }
}

/// What is awaited in real time must come within a minute.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.expect("it comes within a minute")
}

#[tokio::test]
async fn a_panic_is_the_actors_failure_and_a_stop_ends_the_round_under_way() {
    let (ends, mut ended) = mpsc::unbounded_channel();
    let (supervisor, task) = Supervisor::spawn(None, Supervisor, ends).await.expect("it starts");
    let (started, mut starts) = mpsc::unbounded_channel();
    let (hung, dropped) = oneshot::channel();
    let hung = Arc::new(Mutex::new(Some(hung)));

    let board = JobBoard::default();
    let state = || board.snapshot().pop().map(|job| (job.state, job.reason.unwrap_or_default()));
    let fated = Fated { panics: true, hung: hung.clone(), started: started.clone() };
    start(fated, board.clone(), supervisor.get_cell()).await.expect("it starts");
    let failure = soon(ended.recv()).await.expect("it ends").expect("it fails");
    assert!(failure.contains("fated: ") && failure.contains("as told"), "{failure}");
    let (shown, reason) = state().expect("it is on the board");
    assert!(shown == JobState::Restarting && reason.contains("as told"), "{shown:?} {reason}");

    let fated = Fated { panics: false, hung, started };
    let actor = start(fated, board.clone(), supervisor.get_cell()).await.expect("it starts");
    soon(starts.recv()).await.expect("the round starts");
    actor.stop(None);
    assert_eq!(soon(ended.recv()).await, Some(None), "no failure");
    assert!(soon(dropped).await.is_err(), "the round is dropped where it stands");

    supervisor.stop(None);
    task.await.expect("it ends");
}

#[test]
fn a_refusal_is_told_once_until_it_is_over_and_waits_a_minute() {
    let refused =
        |code| Err::<(), _>(WireError::new(&"east".into(), WireErrorKind::Refused { code, message: None }));
    let unauthorized = refused(ResponseError::TopicAuthorizationFailed);
    let away = Err(WireError::new(&"east".into(), WireErrorKind::Lost("gone".to_owned())));
    let mut refusal = Refusal::default();
    assert!(refusal.untold(&away).is_none());
    assert!(refusal.untold(&unauthorized).is_some());
    assert!(refusal.untold(&unauthorized).is_none());
    assert!(refusal.untold(&away).is_none());
    assert!(refusal.untold(&unauthorized).is_none(), "nothing was granted meanwhile");
    assert!(refusal.untold(&Ok(())).is_none());
    assert!(refusal.untold(&unauthorized).is_some());

    let round = Round::of(&unauthorized);
    assert_eq!((round.next, round.state), (Next::After(Duration::from_secs(60)), JobState::Refused));
    assert!(round.reason.is_some_and(|reason| reason.contains("TOPIC_AUTHORIZATION_FAILED")));
    for outcome in [away, refused(ResponseError::NotLeaderOrFollower)] {
        let round = Round::of(&outcome);
        assert_eq!((round.next, round.state), (Next::OnTime, JobState::Failing));
        assert!(round.reason.is_some());
    }
    assert_eq!(Round::of(&Ok(())), Round::done());
}
