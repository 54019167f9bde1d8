//! Questions about many partitions: one request per leader, all leaders at once, tried again where leaders moved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::error::ResponseError;

use super::client::Wire;
use super::connection::Connection;
use super::error::WireError;
use super::pool::Purpose;
use super::retry::Retry;
use crate::model::{TopicName, TopicPartition};

/// One question of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Which of the caller's questions.
    pub(super) index: usize,
    /// The epoch under which the asked broker leads; −1 when it is not known.
    pub(super) leader_epoch: i32,
}

/// What a request is for: a leader, a kind (questions that can't share a request), and a turn (a request names a
/// partition only once).
type Group = (i32, u8, usize);

/// Answers in the order of the questions.
type LeaderAnswers<A> = Vec<Option<Result<A, WireError>>>;

impl Wire {
    /// Answers each question by the leader of its partition.
    ///
    /// `ask` sends one request for some of them and returns their answers in the same order. What moved is asked
    /// again as often as `retry` allows. Fails as a whole only when no broker tells who leads.
    pub(super) async fn by_leader<Q, A, F, Fut>(
        &self,
        questions: &[Q],
        partition: impl Fn(&Q) -> &TopicPartition,
        kind: impl Fn(&Q) -> u8,
        mut retry: Retry,
        ask: F,
    ) -> Result<Vec<(TopicPartition, Result<A, WireError>)>, WireError>
    where
        F: Fn(Arc<Connection>, Vec<Ask>, Duration) -> Fut,
        Fut: Future<Output = Result<Vec<Result<A, WireError>>, WireError>>,
    {
        let mut answers: LeaderAnswers<A> = questions.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..questions.len()).collect();
        while !open.is_empty() {
            let refusals =
                self.look_up_leaders(open.iter().map(|index| partition(&questions[*index]))).await?;
            let mut groups: BTreeMap<Group, Vec<Ask>> = BTreeMap::new();
            let mut turns: HashMap<(&TopicPartition, u8), usize> = HashMap::new();
            for &index in &open {
                let (place, kind) = (partition(&questions[index]), kind(&questions[index]));
                let Some(leader) = self.view().read().leader(place) else {
                    let error = refusals.get(place).cloned();
                    answers[index] = Some(Err(error.unwrap_or_else(|| self.no_leader())));
                    continue;
                };
                let turn = turns.entry((place, kind)).or_default();
                let ask = Ask { index, leader_epoch: leader.epoch };
                groups.entry((leader.broker, kind, *turn)).or_default().push(ask);
                *turn += 1;
            }
            let requests = groups.into_iter().map(|((broker, ..), asks)| {
                let (ask, left) = (&ask, retry.left());
                async move {
                    let outcome = match self.broker(broker, Purpose::Admin).await {
                        Ok(connection) => ask(connection, asks.clone(), left).await,
                        Err(error) => Err(error),
                    };
                    (asks, outcome)
                }
            });
            for (asks, outcome) in join_all(requests).await {
                match outcome {
                    Ok(list) => {
                        for (ask, answer) in asks.iter().zip(list) {
                            answers[ask.index] = Some(answer);
                        }
                    }
                    Err(error) => {
                        for ask in asks {
                            answers[ask.index] = Some(Err(error.clone()));
                        }
                    }
                }
            }
            open.retain(|index| matches!(&answers[*index], Some(Err(error)) if error.is_worth_another_try()));
            let Some(error) =
                open.first().and_then(|index| answers[*index].as_ref()?.as_ref().err().cloned())
            else {
                break;
            };
            self.forget_moved(&open, &answers, |index| partition(&questions[index]));
            if retry.pause_after(error).await.is_err() {
                break;
            }
        }
        let answered = questions.iter().zip(answers).map(|(question, answer)| {
            let place = partition(question);
            let answer = answer.unwrap_or_else(|| Err(self.no_leader()));
            (place.clone(), answer.map_err(|error| error.about(place)))
        });
        Ok(answered.collect())
    }

    /// Asks for the leaders that are not known; returns why some are still not.
    pub(super) async fn look_up_leaders<'a>(
        &self,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<HashMap<&'a TopicPartition, WireError>, WireError> {
        let unknown: Vec<_> = {
            let view = self.view().read();
            partitions.filter(|partition| view.leader(partition).is_none()).collect()
        };
        if unknown.is_empty() {
            return Ok(HashMap::new());
        }
        let topics: BTreeSet<&TopicName> = unknown.iter().map(|partition| &partition.topic).collect();
        let topics: Vec<TopicName> = topics.into_iter().cloned().collect();
        let metadata = self.metadata(Some(&topics)).await?;
        let refused = |partition| Some((partition, metadata.leader_of(self.alias(), partition).err()?));
        Ok(unknown.into_iter().filter_map(refused).collect())
    }

    fn forget_moved<'a, A>(
        &self,
        open: &[usize],
        answers: &LeaderAnswers<A>,
        partition: impl Fn(usize) -> &'a TopicPartition,
    ) {
        let mut view = self.view().write();
        for &index in open {
            if matches!(&answers[index], Some(Err(error)) if error.is_misrouted()) {
                view.forget(&partition(index).topic);
            }
        }
    }

    pub(super) fn no_leader(&self) -> WireError {
        self.refused(ResponseError::LeaderNotAvailable, None)
    }
}

/// Puts a response's entries into the order of the questions; a missing one is the broker's mistake.
pub(super) fn in_order<A>(
    connection: &Connection,
    mut found: HashMap<(String, i32), Result<A, WireError>>,
    asked: impl Iterator<Item = TopicPartition>,
) -> Vec<Result<A, WireError>> {
    let take = |partition: TopicPartition| {
        found.remove(&(partition.topic.as_str().to_owned(), partition.partition)).unwrap_or_else(|| {
            let detail = format!("the answer leaves out {partition}");
            Err(connection.error(super::WireErrorKind::Protocol(detail)))
        })
    };
    asked.map(take).collect()
}
