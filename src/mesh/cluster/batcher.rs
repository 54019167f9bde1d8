//! Many small questions as few large ones: what is asked while a request is under way rides in the next.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

use crate::model::Alias;
use crate::wire::{WireError, WireErrorKind};

/// Questions in one request at most: a broker answers this many within a request's memory and time.
const LARGEST_BATCH: usize = 5_000;

type Waiting<Q, A> = (Q, oneshot::Sender<Result<A, WireError>>);

/// Collects questions of one kind and asks them together.
#[derive(Debug)]
pub struct Batcher<Q, A> {
    cluster: Alias,
    asks: mpsc::UnboundedSender<Waiting<Q, A>>,
}

impl<Q, A> Clone for Batcher<Q, A> {
    fn clone(&self) -> Self {
        Self { cluster: self.cluster.clone(), asks: self.asks.clone() }
    }
}

impl<Q: Clone + Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// Starts the task that asks; it ends when the last clone is dropped. `ask` answers in the order of its
    /// questions, or fails as a whole.
    pub fn start<F, R>(cluster: Alias, ask: F) -> Self
    where
        F: Fn(Vec<Q>) -> R + Send + 'static,
        R: Future<Output = Result<Vec<Result<A, WireError>>, WireError>> + Send,
    {
        let (asks, mut asked) = mpsc::unbounded_channel::<Waiting<Q, A>>();
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while asked.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
                let (questions, replies): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                match ask(questions).await {
                    Ok(answers) => {
                        for (reply, answer) in replies.into_iter().zip(answers) {
                            // An asker that went away needs no answer.
                            let _ = reply.send(answer);
                        }
                    }
                    Err(error) => {
                        for reply in replies {
                            let _ = reply.send(Err(error.clone()));
                        }
                    }
                }
            }
        });
        Self { cluster, asks }
    }

    /// Asks one question. Cancel safe: an abandoned question is still asked, its answer is dropped.
    pub async fn ask(&self, question: Q) -> Result<A, WireError> {
        let (reply, answer) = oneshot::channel();
        if self.asks.send((question, reply)).is_err() {
            return Err(self.unanswered());
        }
        answer.await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    fn unanswered(&self) -> WireError {
        WireError::new(&self.cluster, WireErrorKind::Lost("the look-up ended without an answer".to_owned()))
    }
}
