//! Writing records.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::admin::watermarks;
use super::{CALL, KafkaClient};
use crate::common::{CEILING, blocking};

/// A record as tests write and compare it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TestRecord {
    /// Key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is null, a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in order; keys may repeat, values may be null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since the epoch; `None` lets the client stamp it. librdkafka can't write 0.
    pub timestamp_ms: Option<i64>,
}

impl TestRecord {
    /// A record of text, stamped by the client.
    pub fn new(key: &str, value: &str) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), ..Self::default() }
    }

    /// `count` records `k-0 v-0`, `k-1 v-1` and so on.
    pub fn numbered(count: usize) -> Vec<Self> {
        (0..count).map(|n| Self::new(&format!("k-{n}"), &format!("v-{n}"))).collect()
    }

    /// Adds a header.
    pub fn header(mut self, key: &str, value: Option<&[u8]>) -> Self {
        self.headers.push((key.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    /// Sets the timestamp, in milliseconds since the epoch.
    pub fn at(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its records count.
    Commit,
    /// Its records don't.
    Abort,
}

/// How records are written: idempotent, `acks=all`, uncompressed, outside a transaction unless told otherwise.
#[derive(Clone, Debug, Default)]
pub struct Produce {
    codec: Option<String>,
    transaction: Option<(String, Ending)>,
    batch_records: Option<usize>,
}

impl Produce {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// `gzip`, `snappy`, `lz4` or `zstd`.
    pub fn codec(mut self, codec: &str) -> Self {
        self.codec = Some(codec.to_owned());
        self
    }

    /// All records in one transaction of this `transactional.id`.
    pub fn transaction(mut self, id: &str, ending: Ending) -> Self {
        self.transaction = Some((id.to_owned(), ending));
        self
    }

    /// At most this many records a batch.
    pub fn batch_records(mut self, count: usize) -> Self {
        self.batch_records = Some(count);
        self
    }
}

impl KafkaClient {
    /// Writes records to one partition in order and returns their offsets, in the records' order.
    pub async fn produce(&self, topic: &str, partition: i32, records: Vec<TestRecord>) -> Vec<i64> {
        self.produce_with(topic, partition, records, Produce::new()).await
    }

    /// [`Self::produce`] with a codec, a transaction or a batch size.
    pub async fn produce_with(
        &self,
        topic: &str,
        partition: i32,
        records: Vec<TestRecord>,
        options: Produce,
    ) -> Vec<i64> {
        let (client, topic) = (self.clone(), topic.to_owned());
        blocking(move || client.write(&topic, partition, &records, &options)).await
    }

    fn write(&self, topic: &str, partition: i32, records: &[TestRecord], options: &Produce) -> Vec<i64> {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("linger.ms", "5").set("message.max.bytes", "20000000");
        config.set("compression.codec", options.codec.as_deref().unwrap_or("none"));
        if let Some((id, _)) = &options.transaction {
            config.set("transactional.id", id);
        }
        if let Some(count) = options.batch_records {
            config.set("batch.num.messages", count.to_string());
        }
        let deliveries = Deliveries::default();
        let fail = |what: &str, error: KafkaError| -> ! {
            panic!("{}: {what}, {topic}-{partition}: {error}", self.bootstrap)
        };
        let producer: ThreadedProducer<Deliveries> = config
            .create_with_context(deliveries.clone())
            .unwrap_or_else(|error| fail("build a producer", error));
        if options.transaction.is_some() {
            producer.init_transactions(CALL).unwrap_or_else(|error| fail("init transactions", error));
            producer.begin_transaction().unwrap_or_else(|error| fail("begin a transaction", error));
        }
        for (index, record) in records.iter().enumerate() {
            let mut base = to_base(topic, partition, record, index);
            while let Err((error, back)) = producer.send(base) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    fail("send", error);
                }
                base = back;
                // The queue empties on another thread, there is nothing to await.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        producer.flush(CEILING).unwrap_or_else(|error| fail("flush", error));
        match &options.transaction {
            Some((_, Ending::Commit)) => producer.commit_transaction(CALL),
            Some((_, Ending::Abort)) => producer.abort_transaction(CALL),
            None => Ok(()),
        }
        .unwrap_or_else(|error| fail("end the transaction", error));
        let mut offsets = deliveries.0.lock().expect("delivery reports don't panic").clone();
        offsets.sort_unstable_by_key(|(index, _)| *index);
        assert_eq!(offsets.len(), records.len(), "{topic}-{partition}: delivery reports are missing");
        let offsets: Vec<i64> = offsets
            .into_iter()
            .map(|(_, offset)| offset.unwrap_or_else(|error| fail("produce", error)))
            .collect();
        if let (Some(_), Some(last)) = (&options.transaction, offsets.last()) {
            self.await_marker(topic, partition, *last);
        }
        offsets
    }

    /// Waits until the transaction that wrote this record has its marker: a broker says that a transaction has ended
    /// before it writes that, and until then nobody reads on.
    pub fn await_marker(&self, topic: &str, partition: i32, last: i64) {
        let index = usize::try_from(partition).expect("a partition index is positive");
        self.insist(
            &format!("the marker behind {last} of {topic}-{partition}"),
            |consumer| match watermarks(consumer, topic, index)? {
                (_, stable) if stable > last + 1 => Ok(()),
                (_, stable) => Err(format!("the log is stable up to {stable}")),
            },
        );
    }
}

/// Index of a record, and the offset it got.
type Delivery = (usize, Result<i64, KafkaError>);

/// All delivery reports so far.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Delivery>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().expect("delivery reports don't panic").push((*index, result));
    }
}

fn to_base<'a>(
    topic: &'a str,
    partition: i32,
    record: &'a TestRecord,
    index: usize,
) -> BaseRecord<'a, [u8], [u8], Box<usize>> {
    let mut base = BaseRecord::with_opaque_to(topic, Box::new(index)).partition(partition);
    base.key = record.key.as_deref();
    base.payload = record.value.as_deref();
    base.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        base.headers = Some(headers);
    }
    base
}
