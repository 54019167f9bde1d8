//! Looks whether the session's clients have a broker to talk to, and ends the session when one never will again.
//!
//! One task per session, however many lanes: every ten seconds each client is asked for the metadata of one topic. The
//! cluster is asked over our own connection only where a client found nobody.

mod patience;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use self::patience::{EVERY, Patience, Seen};
use super::context::SourceContext;
use super::shared::Shared;
use super::sink::RecordsSink;
use crate::engine::ClusterEnd;
use crate::engine::panic::panic_text;
use crate::model::{Alias, Isolation, TopicPartition};
use crate::wire::{OffsetSpec, Wire};

/// How long a client may look for a connection that is up. One whose answer takes longer has a connection.
const LOOK: Duration = Duration::from_secs(1);
/// How long the cluster may take to answer our own connection, or it counts as away: some round trips of a far one.
const ANSWER: Duration = Duration::from_secs(5);

/// A cluster, as the watch asks it.
pub(super) struct WatchedCluster {
    wire: Wire,
    patience: Patience,
}

impl WatchedCluster {
    pub(super) fn new(end: &ClusterEnd) -> Self {
        Self { wire: end.wire.clone(), patience: Patience::new(&end.settings) }
    }

    /// Whether the leader of a partition answers our own connection now. Cancel safe.
    async fn answers(&self, partition: &TopicPartition) -> bool {
        let question = [(partition.clone(), OffsetSpec::Latest)];
        // Not among the look-ups of others, which may wait for a broker that is away.
        let ends = self.wire.list_offsets(&question, Isolation::ReadUncommitted).await;
        ends.is_ok_and(|ends| ends.iter().any(|(_, end)| end.is_ok()))
    }
}

/// A client of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Consumer,
    /// The producer of this sink.
    Producer(u64),
}

/// A client to look at, and a partition that it is there for.
struct Look {
    who: Who,
    partition: TopicPartition,
    client: Handle,
}

enum Handle {
    Consumer(Weak<BaseConsumer<SourceContext>>),
    Producer(Arc<RecordsSink>),
}

/// The task's state.
pub(super) struct BrokerWatch {
    shared: Arc<Shared>,
    consumer: Weak<BaseConsumer<SourceContext>>,
    source: WatchedCluster,
    target: WatchedCluster,
    clients: HashMap<Who, Patience>,
    /// Counts rounds, so that each asks about other partitions.
    rounds: usize,
}

impl BrokerWatch {
    pub(super) fn new(
        shared: Arc<Shared>,
        consumer: Weak<BaseConsumer<SourceContext>>,
        source: WatchedCluster,
        target: WatchedCluster,
    ) -> Self {
        Self { shared, consumer, source, target, clients: HashMap::new(), rounds: 0 }
    }

    /// Runs until the session has ended, or ends it.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.shared.core.over() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let looks = self.looks();
            self.clients.retain(|who, _| looks.iter().any(|look| look.who == *who));
            for look in looks {
                if self.shared.core.ended().is_some() {
                    return;
                }
                match self.check(look).await {
                    Ok(None) => {}
                    Ok(Some(reason)) | Err(reason) => return self.shared.lose(reason),
                }
            }
        }
    }

    /// The clients that open lanes depend on; another lane speaks for each in every round.
    fn looks(&mut self) -> Vec<Look> {
        let mut lanes: Vec<_> = self.shared.core.lanes();
        lanes.retain(|lane| lane.core.holder().is_some());
        if lanes.is_empty() {
            return Vec::new();
        }
        self.rounds = self.rounds.wrapping_add(1);
        let first = self.rounds % lanes.len();
        lanes.rotate_left(first);
        let mut looks = vec![Look {
            who: Who::Consumer,
            partition: lanes[0].id.clone(),
            client: Handle::Consumer(self.consumer.clone()),
        }];
        for lane in lanes {
            let (partition, sink) = lane.target();
            let who = Who::Producer(sink.id);
            if !sink.is_dead() && looks.iter().all(|look| look.who != who) {
                looks.push(Look { who, partition, client: Handle::Producer(sink) });
            }
        }
        looks
    }

    /// Looks at one client; the reason when the session is to be given up. `Err` tells that the look itself failed.
    async fn check(&mut self, look: Look) -> Result<Option<String>, String> {
        let Look { who, partition, client } = look;
        let topic = partition.topic.clone();
        // Never abandoned: the client must not outlive the session's shutdown, which waits for this task.
        let found = tokio::task::spawn_blocking(move || client.finds_broker(topic.as_str())).await;
        let found = match found {
            Ok(found) => found,
            Err(failed) if failed.is_panic() => {
                return Err(format!("a look for brokers panicked: {}", panic_text(&*failed.into_panic())));
            }
            // The process ends.
            Err(_) => return Ok(None),
        };
        let side = if who == Who::Consumer { &self.source } else { &self.target };
        let seen = match found {
            true => Seen::Broker,
            false => tokio::select! {
                () = self.shared.core.over() => return Ok(None),
                answer = tokio::time::timeout(ANSWER, side.answers(&partition)) => match answer {
                    Ok(true) => Seen::Alone,
                    Ok(false) | Err(_) => Seen::Away,
                },
            },
        };
        tracing::debug!(target: crate::engine::LOG, cluster = %side.wire.alias(), client = ?who, %partition, ?seen, "looked for a broker");
        let patience = self.clients.entry(who).or_insert(side.patience);
        Ok(patience.take(seen).then(|| reason(who, side.wire.alias(), &partition, patience.met())))
    }
}

impl Handle {
    /// Whether the client has a connection that is up, or gets one soon. A client that is gone needs none.
    fn finds_broker(&self, topic: &str) -> bool {
        match self {
            Self::Consumer(consumer) => {
                consumer.upgrade().is_none_or(|consumer| finds_broker(consumer.client(), topic))
            }
            Self::Producer(sink) => sink.with_client(|client| finds_broker(client, topic)).unwrap_or(true),
        }
    }
}

/// Asks for the metadata of one topic. Only a client without any broker connection says that there is no transport;
/// whatever else comes of it, an answer or none in time, came of a connection.
fn finds_broker<C: ClientContext>(client: &Client<C>, topic: &str) -> bool {
    let alone = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
    client.fetch_metadata(Some(topic), LOOK).err() != Some(alone)
}

fn reason(who: Who, cluster: &Alias, partition: &TopicPartition, met: bool) -> String {
    let client = if who == Who::Consumer { "consumer" } else { "producer" };
    let what = match met {
        true => "has no broker left and does not come back",
        false => "never reached a broker (see its log lines)",
    };
    format!(
        "the {client} of cluster {cluster} {what}, though the leader of {partition} answers other connections"
    )
}
