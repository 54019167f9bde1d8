//! Records under way while things break.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::{CEILING, KafkaClient, blocking, wait_for};

/// How long a batch waits for more records.
const LINGER_MS: &str = "50";
/// How often records are added.
const PACE: Duration = Duration::from_millis(20);

/// Describes a load; [`LoadPlan::start`] sets it off.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    client: KafkaClient,
    partitions: Vec<(String, i32)>,
    records_per_second: u32,
    value_bytes: usize,
    codec: String,
}

impl LoadPlan {
    /// Adds all partitions of a topic.
    pub fn topic(mut self, topic: &str, partitions: i32) -> Self {
        self.partitions.extend((0..partitions).map(|partition| (topic.to_owned(), partition)));
        self
    }

    /// Records per second over all partitions; default 1000.
    pub fn rate(mut self, records_per_second: u32) -> Self {
        self.records_per_second = records_per_second;
        self
    }

    /// Pads values to this size; default 100.
    pub fn value_bytes(mut self, bytes: usize) -> Self {
        self.value_bytes = bytes;
        self
    }

    /// Compression; default lz4.
    pub fn codec(mut self, codec: &str) -> Self {
        self.codec = codec.to_owned();
        self
    }

    /// Starts writing, on a thread of its own.
    pub fn start(self) -> Load {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || self.run(&shared)
        });
        Load { shared, thread: Some(thread) }
    }

    fn run(self, shared: &Arc<Shared>) {
        let producer: ThreadedProducer<Reports> = self
            .client
            .config()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            // As busy producers batch: twenty requests a second and partition, whatever the rate.
            .set("linger.ms", LINGER_MS)
            .set("compression.codec", &self.codec)
            .create_with_context(Reports(shared.clone()))
            .expect("the load's producer can be built");
        let began = Instant::now();
        let mut sent = 0u64;
        while !shared.stop.load(Ordering::Relaxed) {
            let due = began.elapsed().as_secs_f64() * f64::from(self.records_per_second);
            while (sent as f64) < due && !shared.stop.load(Ordering::Relaxed) {
                if !self.send(&producer, sent) {
                    break;
                }
                sent += 1;
            }
            // The pace of the load itself, not a wait for anything.
            std::thread::sleep(PACE);
        }
        producer.flush(CEILING).expect("all records of the load are acknowledged in the end");
    }

    /// Sends record number `sent`; false when the queue is full.
    fn send(&self, producer: &ThreadedProducer<Reports>, sent: u64) -> bool {
        let partitions = self.partitions.len() as u64;
        let (topic, partition) = &self.partitions[(sent % partitions) as usize];
        let number = sent / partitions;
        let key = format!("k-{}", number % 1000);
        let value = format!("{number:<width$}", width = self.value_bytes);
        let record = BaseRecord::with_opaque_to(topic, Box::new(number));
        match producer.send(record.partition(*partition).key(&key).payload(&value)) {
            Ok(()) => true,
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => false,
            Err((error, _)) => panic!("load on {topic}-{partition}: {error}"),
        }
    }
}

/// A load under way; stopped, without any check, when dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What was acknowledged: per topic and partition, offset and number of each record, in order of the reports.
pub type Acknowledged = BTreeMap<(String, i32), Vec<(i64, u64)>>;

impl Load {
    /// Numbered records with `acks=all`, idempotent: record n of a partition has the value `n`, padded with spaces.
    pub fn on(client: &KafkaClient) -> LoadPlan {
        LoadPlan {
            client: client.clone(),
            partitions: Vec::new(),
            records_per_second: 1000,
            value_bytes: 100,
            codec: "lz4".to_owned(),
        }
    }

    /// Records acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Waits until `more` further records are acknowledged: progress, not time.
    pub async fn progress(&self, more: u64) {
        let goal = self.acknowledged() + more;
        wait_for(&format!("{goal} records of the load to be acknowledged"), async || {
            match self.acknowledged() {
                count if count >= goal => Ok(()),
                count => Err(format!("{count} are")),
            }
        })
        .await;
    }

    /// Stops, waits until all that was sent is acknowledged, and returns it.
    pub async fn stop(mut self) -> Acknowledged {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("a load is stopped once");
        blocking(move || thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).await;
        let failed = self.shared.failed.lock().expect("reports don't panic").clone();
        assert_eq!(failed, None, "a record of the load was refused");
        self.shared.acknowledged.lock().expect("reports don't panic").clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    count: AtomicU64,
    acknowledged: Mutex<Acknowledged>,
    failed: Mutex<Option<String>>,
}

struct Reports(Arc<Shared>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        match result {
            Ok(message) => {
                let key = (message.topic().to_owned(), message.partition());
                let mut acknowledged = self.0.acknowledged.lock().expect("reports don't panic");
                acknowledged.entry(key).or_default().push((message.offset(), *number));
                self.0.count.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => {
                let what = format!("{}-{}: {error}", message.topic(), message.partition());
                self.0.failed.lock().expect("reports don't panic").get_or_insert(what);
            }
        }
    }
}
