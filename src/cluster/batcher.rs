//! Many small questions as few large ones: what is asked while a request is under way rides in the next.
//!
//! Each question has its answer as soon as there is one. Those whose leader moved wait for their next try beside the
//! others, so a partition without a leader holds up nobody.

use std::future::Future;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::model::Alias;
use crate::wire::{Retry, Wire, WireError, WireErrorKind};

/// Questions in one request at most: a broker answers this many within a request's memory and time.
const LARGEST_BATCH: usize = 5_000;

type Waiting<Q, A> = (Q, oneshot::Sender<Result<A, WireError>>);

/// Questions that are asked together, and how often they were.
struct Attempt<Q, A> {
    waiting: Vec<Waiting<Q, A>>,
    retry: Retry,
}

/// Collects questions of one kind and asks them together.
#[derive(Debug)]
pub(super) struct Batcher<Q, A> {
    cluster: Alias,
    asks: mpsc::UnboundedSender<Waiting<Q, A>>,
}

impl<Q, A> Clone for Batcher<Q, A> {
    fn clone(&self) -> Self {
        Self { cluster: self.cluster.clone(), asks: self.asks.clone() }
    }
}

impl<Q: Clone + Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// Starts the task that asks; it ends when the last clone is dropped. `ask` tries once, and answers in the
    /// order of its questions or fails as a whole; what is worth another try is asked again.
    #[expect(
        clippy::disallowed_methods,
        reason = "it serves every handle of the cluster, and ends when the last of them is dropped"
    )]
    pub(super) fn start<F, R>(wire: Wire, ask: F) -> Self
    where
        F: Fn(Wire, Vec<Q>) -> R + Send + 'static,
        R: Future<Output = Result<Vec<Result<A, WireError>>, WireError>> + Send,
    {
        let cluster = wire.alias().clone();
        let (asks, mut asked) = mpsc::unbounded_channel::<Waiting<Q, A>>();
        tokio::spawn(async move {
            let mut pausing = FuturesUnordered::new();
            loop {
                let mut waiting = Vec::new();
                let round = tokio::select! {
                    count = asked.recv_many(&mut waiting, LARGEST_BATCH) => match count {
                        0 => break,
                        _ => Attempt { waiting, retry: wire.retry() },
                    },
                    Some(again) = pausing.next() => match again {
                        Some(round) => round,
                        None => continue,
                    },
                };
                let questions = round.waiting.iter().map(|(question, _)| question.clone()).collect();
                let answers = ask(wire.clone(), questions).await;
                pausing.push(round.answered(answers));
            }
        });
        Self { cluster, asks }
    }

    /// Asks one question. Cancel safe: an abandoned question is still asked, its answer is dropped.
    pub(super) async fn ask(&self, question: Q) -> Result<A, WireError> {
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

impl<Q, A> Attempt<Q, A> {
    /// Hands out the answers at once. The future pauses, and gives back what is to be asked again.
    fn answered(
        self,
        answers: Result<Vec<Result<A, WireError>>, WireError>,
    ) -> impl Future<Output = Option<Self>> {
        let Self { waiting, mut retry } = self;
        let mut again = Vec::new();
        // An asker that went away needs no answer.
        match answers {
            Ok(answers) => {
                for ((question, reply), answer) in waiting.into_iter().zip(answers) {
                    match answer {
                        Err(error) if error.is_worth_another_try() => {
                            if !reply.is_closed() {
                                again.push(((question, reply), error));
                            }
                        }
                        answer => drop(reply.send(answer)),
                    }
                }
            }
            Err(error) => {
                for (_, reply) in waiting {
                    drop(reply.send(Err(error.clone())));
                }
            }
        }
        async move {
            let first = again.first().map(|(_, error)| error.clone())?;
            if retry.pause_after(first).await.is_ok() {
                let waiting = again.into_iter().map(|(waiting, _)| waiting).collect();
                return Some(Self { waiting, retry });
            }
            for ((_, reply), error) in again {
                drop(reply.send(Err(error)));
            }
            None
        }
    }
}

#[cfg(test)]
mod tests;
