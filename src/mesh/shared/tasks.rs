//! What runs beside an actor's mailbox.

use std::future::Future;

use tokio::task::{JoinError, JoinSet};

/// Tasks of an actor. They end with it, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
}

impl Tasks {
    /// Runs a task; `ended` is told what became of it, a panic included. Call within a tokio runtime.
    pub(crate) fn spawn<T: Send + 'static>(
        &mut self,
        task: impl Future<Output = T> + Send + 'static,
        ended: impl FnOnce(Result<T, JoinError>) + Send + 'static,
    ) {
        while self.running.try_join_next().is_some() {}
        self.running.spawn(async move {
            // A task of its own, so that a panic in it is seen here; it ends with this one.
            let mut watched = JoinSet::new();
            watched.spawn(task);
            if let Some(outcome) = watched.join_next().await {
                ended(outcome);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_became_of_a_task_is_told() {
        let mut tasks = Tasks::default();
        let (told, outcome) = oneshot::channel();
        tasks.spawn(async { 7 }, |ended| told.send(ended).expect("the test waits"));
        assert_eq!(outcome.await.expect("it is told").expect("no panic"), 7);
        let (told, outcome) = oneshot::channel();
        tasks.spawn(async { panic!("on purpose") }, |ended: Result<(), _>| {
            told.send(ended).expect("the test waits");
        });
        assert!(outcome.await.expect("it is told").expect_err("it panicked").is_panic());
    }

    #[tokio::test]
    async fn tasks_end_with_their_owner() {
        let mut tasks = Tasks::default();
        let (held, gone) = oneshot::channel::<()>();
        let forever = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        tasks.spawn(forever, |_| panic!("nobody is told of an end that the owner wanted"));
        tokio::task::yield_now().await;
        drop(tasks);
        gone.await.expect_err("what the task held is dropped");
    }
}
