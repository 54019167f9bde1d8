//! Writing a topic full, fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::data::Texts;
use crate::common::KafkaClient;

const CALL: Duration = Duration::from_secs(120);
/// Records of a transaction: a few megabytes at 1 KB.
const TRANSACTION_RECORDS: u64 = 4_000;
/// Every tenth transaction is aborted.
const ABORTED: u64 = 10;

/// What a topic is to hold.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Partitions; records go round them.
    pub partitions: i32,
    /// Size of a value.
    pub value_bytes: usize,
    /// `lz4` or `none`.
    pub codec: &'static str,
    /// Bytes of keys and values, before compression.
    pub bytes: u64,
    /// Upper limit of a batch, before compression.
    pub batch_bytes: u64,
    /// Whether it is written in transactions, some of which are aborted.
    pub transactions: bool,
}

/// What a topic holds.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Records that a mirror has to carry: those of aborted transactions don't count.
    pub records: u64,
    /// Bytes of their keys and values, before compression.
    pub bytes: u64,
}

/// Writes a topic that exists.
pub fn fill(client: &KafkaClient, topic: &str, contents: &Contents) -> Filled {
    let mut config = client.config();
    config
        .set("compression.codec", contents.codec)
        .set("batch.size", contents.batch_bytes.to_string())
        .set("batch.num.messages", "100000")
        .set("linger.ms", "200")
        .set("queue.buffering.max.kbytes", "262144")
        .set("queue.buffering.max.messages", "2000000")
        .set("message.timeout.ms", "0")
        .set("enable.idempotence", "true");
    if contents.transactions {
        config.set("transactional.id", topic);
    }
    let refused = Arc::new(AtomicU64::new(0));
    let producer: ThreadedProducer<Refusals> =
        config.create_with_context(Refusals(refused.clone())).expect("a producer can be built");
    let filled = if contents.transactions {
        in_transactions(&producer, topic, contents)
    } else {
        let filled = write(&producer, topic, contents, &Texts::new(contents.value_bytes), 0, u64::MAX);
        producer.flush(CALL).expect("the topic can be filled");
        filled
    };
    assert_eq!(refused.load(Ordering::Relaxed), 0, "{topic}: records were refused");
    filled
}

fn in_transactions(producer: &ThreadedProducer<Refusals>, topic: &str, contents: &Contents) -> Filled {
    let texts = Texts::new(contents.value_bytes);
    let mut kept = Filled { records: 0, bytes: 0 };
    producer.init_transactions(CALL).expect("transactions can be used");
    for transaction in 0.. {
        if kept.bytes >= contents.bytes {
            break;
        }
        producer.begin_transaction().expect("a transaction can be begun");
        let first = transaction * TRANSACTION_RECORDS;
        let written = write(producer, topic, contents, &texts, first, TRANSACTION_RECORDS);
        producer.flush(CALL).expect("the transaction can be written");
        if transaction % ABORTED == ABORTED - 1 {
            producer.abort_transaction(CALL).expect("the transaction can be aborted");
        } else {
            producer.commit_transaction(CALL).expect("the transaction can be committed");
            kept = Filled { records: kept.records + written.records, bytes: kept.bytes + written.bytes };
        }
    }
    kept
}

/// Sends records from number `first` on, until the bytes wanted or `most` records are reached.
fn write(
    producer: &ThreadedProducer<Refusals>,
    topic: &str,
    contents: &Contents,
    texts: &Texts,
    first: u64,
    most: u64,
) -> Filled {
    let mut filled = Filled { records: 0, bytes: 0 };
    let partitions = u64::try_from(contents.partitions).expect("there are partitions");
    while filled.records < most && filled.bytes < contents.bytes {
        let index = first + filled.records;
        let key = format!("{:08}", index % 100_000_000);
        let value = texts.value(index);
        let partition = i32::try_from(index % partitions).expect("fewer than there are partitions");
        send(producer, BaseRecord::to(topic).partition(partition).key(key.as_bytes()).payload(value));
        filled.records += 1;
        filled.bytes += (key.len() + value.len()) as u64;
    }
    filled
}

/// Sends a record; waits while the producer's queue is full.
pub fn send<C: ProducerContext<DeliveryOpaque = ()>>(
    producer: &ThreadedProducer<C>,
    mut record: BaseRecord<'_, [u8], [u8]>,
) {
    while let Err((error, back)) = producer.send(record) {
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "send: {error}");
        record = back;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Counts the records that were not written.
struct Refusals(Arc<AtomicU64>);

impl ClientContext for Refusals {}

impl ProducerContext for Refusals {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
