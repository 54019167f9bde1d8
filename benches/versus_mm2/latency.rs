//! How long a record takes, and how long until a new topic is noticed.

use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::common::Cluster;
use crate::subject::{Job, Running};
use crate::support::data::Texts;
use crate::support::ends::Ends;
use crate::support::fill::send;

/// The rate the issue of latency is decided at.
const RECORDS_PER_SECOND: u32 = 200;
const RECORDS: u32 = 3_000;
/// Written first and not timed: brokers that have only seen bulk so far compile what single records take, and
/// take up to 60 ms over one meanwhile.
const WARM_UP: u32 = 2_000;
const VALUE_BYTES: usize = 1_000;
/// More than MirrorMaker 2's look-out for new topics and a restart of its tasks take.
const LONGEST: Duration = Duration::from_secs(60);

/// End-to-end latency, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the records took at most so long.
    pub p50_ms: f64,
    /// 99 of 100 took at most so long.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// 99 of 100 could be read on the source after at most so long: what of the rest is not the mirror's.
    pub source_p99_ms: f64,
    /// How many were timed.
    pub records: u32,
}

/// Creates a topic on the source, writes a record to it, and times until it is on the target.
pub fn new_topic(runtime: &Runtime, job: &Job<'_>, running: &mut Running, topic: &str) -> Duration {
    let client = job.source.client();
    runtime.block_on(client.create_topic(topic, 1, &[]));
    let producer: ThreadedProducer<_> = client.config().create().expect("a producer can be built");
    let written = Instant::now();
    send(&producer, BaseRecord::to(topic).partition(0).key(&b"first"[..]).payload(&b"first"[..]));
    producer.flush(LONGEST).expect("the record can be written");
    let mut ends = Ends::new(job.target.client(), &format!("{}.{topic}", job.alias), 1);
    while ends.total() == 0 {
        running.assert_running();
        assert!(written.elapsed() < LONGEST, "{topic}: not on the target after {LONGEST:?}");
        thread::sleep(Duration::from_millis(5));
    }
    written.elapsed()
}

/// Writes 200 records a second to a topic that is being mirrored and times each until it is read on the target, and
/// until it is read on the source.
///
/// All ends are in this process, so one clock times them. No client waits for more records (`linger.ms` 0).
pub fn latency(job: &Job<'_>, topic: &str) -> Latency {
    let clock = Instant::now();
    let readers = Barrier::new(3);
    let (mirrored, at_source) = thread::scope(|scope| {
        let mirrored = scope.spawn(|| read(job.target, &format!("{}.{topic}", job.alias), clock, &readers));
        let at_source = scope.spawn(|| read(job.source, topic, clock, &readers));
        scope.spawn(|| write(job, topic, clock, &readers));
        (joined(mirrored), joined(at_source))
    });
    let at = |taken: &[Duration], share: f64| {
        taken[(share * (taken.len() - 1) as f64).round() as usize].as_secs_f64() * 1e3
    };
    Latency {
        p50_ms: at(&mirrored, 0.5),
        p99_ms: at(&mirrored, 0.99),
        max_ms: at(&mirrored, 1.0),
        source_p99_ms: at(&at_source, 0.99),
        records: RECORDS,
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn write(job: &Job<'_>, topic: &str, clock: Instant, readers: &Barrier) {
    let mut config = job.source.client().config();
    config.set("linger.ms", "0").set("compression.codec", job.workload.codec());
    let producer: ThreadedProducer<_> = config.create().expect("a producer can be built");
    readers.wait();
    let texts = Texts::new(VALUE_BYTES);
    let began = Instant::now();
    for number in 0..WARM_UP + RECORDS {
        let due = Duration::from_secs(1) / RECORDS_PER_SECOND * number;
        thread::sleep(due.saturating_sub(began.elapsed()));
        // The key carries the time; the text stays as compressible as it is.
        let stamp = u64::try_from(clock.elapsed().as_nanos()).expect("a bench is over in 584 years");
        let value = texts.value(u64::from(number));
        send(&producer, BaseRecord::to(topic).partition(0).key(&stamp.to_be_bytes()[..]).payload(value));
    }
    producer.flush(LONGEST).expect("the records can be written");
}

/// How long each timed record took, shortest first.
fn read(cluster: &Cluster, topic: &str, clock: Instant, readers: &Barrier) -> Vec<Duration> {
    let mut config = cluster.client().config();
    config.set("group.id", "latency").set("enable.auto.commit", "false").set("fetch.queue.backoff.ms", "1");
    let consumer: BaseConsumer = config.create().expect("a consumer can be built");
    let mut list = TopicPartitionList::new();
    // Behind the record that showed the topic to be mirrored.
    list.add_partition_offset(topic, 0, Offset::Offset(1)).expect("1 is an offset");
    consumer.assign(&list).expect("the partition can be assigned");
    // The first, empty fetch: from here on the consumer waits at the broker.
    assert!(consumer.poll(Duration::from_secs(1)).is_none(), "{topic}: nothing was written yet");
    readers.wait();
    let mut taken = Vec::new();
    while taken.len() < (WARM_UP + RECORDS) as usize {
        let message = consumer.poll(LONGEST).expect("the records arrive").expect("the target can be read");
        let key = message.key().expect("the records have keys");
        let stamp = u64::from_be_bytes(key.try_into().expect("a time is 8 bytes"));
        taken.push(clock.elapsed().saturating_sub(Duration::from_nanos(stamp)));
    }
    let mut timed = taken.split_off(WARM_UP as usize);
    timed.sort_unstable();
    timed
}
