//! Questions about producers: the session's own id, and what target brokers know of those that wrote.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Semaphore, oneshot};

use super::core::Core;
use super::outbox::KnownProducer;
use super::sequenced_batch::advance;
use crate::formats::ProducerState;
use crate::model::TopicPartition;
use crate::wire::{ActiveProducer, Wire, WireError};

/// Partitions asked for in one call. An answer lists every producer of each: a bound for how long it gets.
const MOST_AT_ONCE: usize = 1_000;
/// Calls at a time. While they are under way, questions gather for the next.
const CALLS: usize = 4;

/// Asks about producers.
pub(super) struct ProducerIds {
    questions: UnboundedSender<Question>,
    /// The session's own producer.
    session: Mutex<Option<(i64, i16)>>,
}

/// One partition's question.
pub(super) struct Question {
    partition: TopicPartition,
    reply: oneshot::Sender<Result<Vec<ActiveProducer>, WireError>>,
}

impl ProducerIds {
    pub(super) fn new() -> (Self, UnboundedReceiver<Question>) {
        let (questions, asked) = unbounded_channel();
        (Self { questions, session: Mutex::default() }, asked)
    }

    /// The session's own producer id and epoch; another than `but`.
    pub(super) async fn session(&self, wire: &Wire, but: Option<i64>) -> Result<(i64, i16), WireError> {
        let mut session = self.session.lock().await;
        if let Some(known) = *session
            && but != Some(known.0)
        {
            return Ok(known);
        }
        let new = wire.init_producer_id().await?;
        tracing::debug!(target: crate::engine::LOG, cluster = %wire.alias(), producer_id = new.0, "got a producer id");
        *session = Some(new);
        Ok(new)
    }

    /// The next sequence number of a producer, if its partition's leader still knows it under this epoch.
    pub(super) async fn next_sequence(
        &self,
        partition: &TopicPartition,
        (id, epoch): (i64, i16),
    ) -> Result<Option<i32>, WireError> {
        let (reply, answer) = oneshot::channel();
        // Both ends live as long as the session.
        let _ = self.questions.send(Question { partition: partition.clone(), reply });
        let Ok(answer) = answer.await else { return Ok(None) };
        let producers = answer?;
        let known = producers.iter().find(|producer| producer.id == id && producer.epoch == epoch);
        // −1, when it wrote a marker only, leads to 0.
        Ok(known.map(|producer| advance(producer.last_sequence, 1)))
    }

    /// What its partition's leader knows of a producer.
    pub(super) async fn known(
        &self,
        wire: &Wire,
        partition: &TopicPartition,
        producer: &ProducerState,
    ) -> KnownProducer {
        match self.next_sequence(partition, (producer.id, producer.epoch)).await {
            Ok(Some(next_sequence)) => {
                KnownProducer::Yes(ProducerState { next_sequence, ..producer.clone() })
            }
            Ok(None) => KnownProducer::No(producer.clone()),
            Err(error) => {
                let cluster = wire.alias();
                tracing::debug!(target: crate::engine::LOG, %cluster, %partition, %error, "can't ask for the producer; taking another");
                KnownProducer::Untold
            }
        }
    }
}

/// Gets the session's producer while its lanes are still being resolved: a broker that has given no producer id since
/// its start takes a moment. What fails here is asked for again when it is needed, and told then.
pub(super) async fn prepare(core: Arc<Core>) {
    if let Err(error) = core.producer_ids.session(&core.wire, None).await {
        tracing::debug!(target: crate::engine::LOG, flow = %core.flow, %error, "no producer id yet");
    }
}

/// Answers questions, those that come at the same time in one call.
pub(super) async fn run(core: Arc<Core>, mut asked: UnboundedReceiver<Question>) {
    let calls = Arc::new(Semaphore::new(CALLS));
    loop {
        let Ok(call) = calls.clone().acquire_owned().await else { return };
        let mut questions = Vec::new();
        if asked.recv_many(&mut questions, MOST_AT_ONCE).await == 0 {
            return;
        }
        let wire = core.wire.clone();
        core.spawn("producer ids", async move {
            answer(&wire, questions).await;
            drop(call);
        });
    }
}

async fn answer(wire: &Wire, questions: Vec<Question>) {
    let partitions: Vec<_> = questions.iter().map(|question| question.partition.clone()).collect();
    let answers = wire.describe_producers(&partitions).await;
    match answers {
        Ok(answers) => {
            for (question, (_, answer)) in questions.into_iter().zip(answers) {
                // Who doesn't wait any more needs no answer.
                let _ = question.reply.send(answer);
            }
        }
        Err(error) => {
            for question in questions {
                let _ = question.reply.send(Err(error.clone()));
            }
        }
    }
}
