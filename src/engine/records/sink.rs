//! A producer with its two threads: one gives it records, one serves its delivery reports.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::Client;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::oneshot;

use super::acks::AckFailure;
use super::batch_ack::BatchAck;
use super::context::TargetContext;
use super::record_set::RecordSet;
use super::refused_topics::RefusedTopics;
use super::shared::Limits;
use super::{classify, limits};
use crate::engine::{EngineError, WriteError};
use crate::model::{Event, TopicPartition, WriteErrorClass};
use crate::telemetry::clock;

/// How often the report thread looks whether it shall stop.
const POLL: Duration = Duration::from_millis(50);
/// How long to wait before a full queue is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(2);
/// How long a look at a topic's metadata may hold up the writer: an answer takes a round trip.
const LOOK: Duration = Duration::from_secs(2);
/// How long reports of requests in flight are waited for once the producer is finished.
const FATAL_GRACE: Duration = Duration::from_secs(5);

/// Which producer a lane writes through. Most lanes share one; the others are kept apart because one refused
/// batch ends an idempotent producer for all its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SinkKind {
    /// Topics that take batches of the usual size.
    Main,
    /// Topics that take only smaller batches: at most so many bytes.
    Small(usize),
    /// Topics that refused something lately.
    Refused,
}

/// Called once when the producer is finished, with the reason.
pub(super) type OnDead = Box<dyn FnOnce(String) + Send>;

/// A producer and its threads.
pub(super) struct RecordsSink {
    pub(super) id: u64,
    pub(super) kind: SinkKind,
    refused_topics: RefusedTopics,
    /// Held by the threads alone, so that the last one to end destroys it.
    producer: Weak<BaseProducer<TargetContext>>,
    orders: Mutex<Option<Sender<WriteOrder>>>,
    stop: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

enum WriteOrder {
    Write(Arc<BatchAck>, Box<RecordSet>),
    /// Says when everything before was given to the client.
    Flush(oneshot::Sender<()>),
}

impl RecordsSink {
    /// Starts the threads of a producer.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(super) fn start(
        (id, kind): (u64, SinkKind),
        name: &str,
        producer: Arc<BaseProducer<TargetContext>>,
        limits: Limits,
        refused_topics: RefusedTopics,
        on_dead: OnDead,
    ) -> Result<Arc<Self>, EngineError> {
        let (orders, received) = channel();
        let sink = Arc::new(Self {
            id,
            kind,
            refused_topics,
            producer: Arc::downgrade(&producer),
            orders: Mutex::new(Some(orders)),
            stop: Arc::default(),
            dead: Arc::default(),
            threads: Mutex::default(),
        });
        let death = Arc::new(Death { dead: sink.dead.clone(), on_dead: Mutex::new(Some(on_dead)) });
        let writer = RecordsWriter {
            producer: producer.clone(),
            limits,
            stop: sink.stop.clone(),
            dead: sink.dead.clone(),
        };
        let writer_death = death.clone();
        let write = spawn(format!("write {name}"), writer_death, move || writer.run(&received))?;
        sink.threads.lock().push(write);
        let (stop, report_death) = (sink.stop.clone(), death.clone());
        let report = spawn(format!("acks {name}"), death, move || serve(&producer, &stop, &report_death));
        // Nobody hears of its answers: the writer ends too.
        let report = report.inspect_err(|_| sink.stop())?;
        sink.threads.lock().push(report);
        Ok(sink)
    }

    /// Gives a batch, which its lane knows to be in flight, to the writer thread.
    pub(super) fn write(&self, batch: Arc<BatchAck>, records: Box<RecordSet>) {
        if let Some(orders) = &*self.orders.lock() {
            // The writer is gone only once the sink is dead or stopped, which every lane is told.
            let _ = orders.send(WriteOrder::Write(batch, records));
        }
    }

    /// Resolves when every batch taken so far was given to the client, or never will be.
    pub(super) async fn drained(&self) {
        let (given, all) = oneshot::channel();
        let sent =
            self.orders.lock().as_ref().is_some_and(|orders| orders.send(WriteOrder::Flush(given)).is_ok());
        if sent {
            let _ = all.await;
        }
    }

    /// Whether the producer is finished.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Does something with the client; `None` when it is gone.
    pub(super) fn with_client<T>(&self, ask: impl FnOnce(&Client<TargetContext>) -> T) -> Option<T> {
        self.producer.upgrade().map(|producer| ask(producer.client()))
    }

    /// A lane's write was refused by the target.
    pub(super) fn refused(&self, topic: &str, error: &WriteError) {
        if error.class == WriteErrorClass::Refuse {
            self.refused_topics.add(topic);
        }
    }

    /// A lane's batch was taken by the target.
    pub(super) fn accepted(&self, topic: &str) {
        if self.kind == SinkKind::Refused {
            self.refused_topics.remove(topic);
        }
    }

    /// Takes no more batches; those taken are still given to the client.
    pub(super) fn close(&self) {
        self.orders.lock().take();
    }

    /// Stops the threads as soon as they look; what is queued in the client is dropped.
    pub(super) fn stop(&self) {
        self.close();
        self.stop.store(true, Ordering::Release);
    }

    /// The threads, to be joined after [`RecordsSink::stop`]; the last one to end destroys the producer.
    pub(super) fn threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.threads.lock())
    }
}

/// Tells once that the producer is finished.
struct Death {
    dead: Arc<AtomicBool>,
    on_dead: Mutex<Option<OnDead>>,
}

impl Death {
    fn tell(&self, reason: String) {
        self.dead.store(true, Ordering::Release);
        let on_dead = self.on_dead.lock().take();
        if let Some(on_dead) = on_dead {
            on_dead(reason);
        }
    }
}

/// Starts a named thread whose panic ends the sink.
fn spawn(
    name: String,
    death: Arc<Death>,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, EngineError> {
    let thread_name = name.clone();
    thread::Builder::new()
        .name(thread_name)
        .spawn(move || {
            if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
                death
                    .tell(format!("thread `{name}` panicked: {}", crate::engine::panic::panic_text(&*panic)));
            }
        })
        .map_err(|error| super::no_thread(&error))
}

/// Serves delivery reports until told to stop.
fn serve(producer: &BaseProducer<TargetContext>, stop: &AtomicBool, death: &Death) {
    while !stop.load(Ordering::Acquire) {
        producer.poll(POLL);
        if let Some((_, reason)) = producer.client().fatal_error() {
            // Nothing new is sent any more; what was sent may still be answered, which settles other lanes.
            death.dead.store(true, Ordering::Release);
            let deadline = Instant::now() + FATAL_GRACE;
            while producer.in_flight_count() > 0 && Instant::now() < deadline && !stop.load(Ordering::Acquire)
            {
                producer.poll(POLL);
            }
            producer.poll(Duration::ZERO);
            death.tell(reason);
            return;
        }
    }
}

struct RecordsWriter {
    producer: Arc<BaseProducer<TargetContext>>,
    limits: Limits,
    stop: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
}

/// How giving a record to the client ended.
enum GivenRecord {
    Taken,
    /// The session ends; it tells the lanes.
    Ended,
    Refused(WriteError),
}

impl RecordsWriter {
    fn run(&self, orders: &Receiver<WriteOrder>) {
        while let Ok(order) = orders.recv() {
            match order {
                WriteOrder::Write(batch, mut records) if !self.ended() => self.write(&batch, &mut records),
                WriteOrder::Write(..) => {}
                WriteOrder::Flush(given) => {
                    let _ = given.send(());
                }
            }
        }
    }

    fn ended(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.dead.load(Ordering::Acquire)
    }

    /// Gives a batch to the client, up to the first record that is refused.
    fn write(&self, batch: &Arc<BatchAck>, records: &mut RecordSet) {
        let lane = batch.lane();
        let (target, _) = lane.target();
        let limits = self.limits.of(target.topic.as_str());
        let now_ms = clock::now_ms();
        let mut bytes = 0;
        let mut stamped_zero = 0;
        for index in 0..records.len() {
            if lane.has_failed() {
                batch.cut(index, None, bytes);
                return;
            }
            let record = records.get(index);
            let size = record.payload_bytes() as u64;
            stamped_zero += u64::from(record.timestamp_ms == 0);
            let given = match limits::refusal(&record, &limits, now_ms, &lane.id, &target) {
                Some(fault) => GivenRecord::Refused(WriteError {
                    class: WriteErrorClass::Refuse,
                    source_offset: record.offset,
                    fault,
                }),
                None => self.give(records, index, &target, batch),
            };
            match given {
                GivenRecord::Taken => bytes += size,
                GivenRecord::Ended => return,
                GivenRecord::Refused(error) => {
                    // What precedes the record is on its way, and told before the failure.
                    batch.cut(index, Some(error), bytes);
                    return;
                }
            }
        }
        if stamped_zero > 0 {
            lane.core.report(batch.generation(), Event::TimestampZero { records: stamped_zero });
        }
        batch.given(records.len(), bytes);
    }

    fn give(
        &self,
        records: &mut RecordSet,
        index: usize,
        target: &TopicPartition,
        batch: &Arc<BatchAck>,
    ) -> GivenRecord {
        let mut looked = false;
        loop {
            let (record, headers) = records.take(index);
            let offset = record.offset;
            let message = BaseRecord {
                topic: target.topic.as_str(),
                partition: Some(target.partition),
                payload: record.value,
                key: record.key,
                // librdkafka takes 0 for "now"; the batch reports how many records were stamped 0.
                timestamp: Some(if record.timestamp_ms == 0 { 1 } else { record.timestamp_ms }),
                headers,
                delivery_opaque: batch.clone(),
            };
            let Err((error, refused)) = self.producer.send(message) else { return GivenRecord::Taken };
            let headers = refused.headers;
            records.put_back(index, headers);
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            if self.ended() {
                return GivenRecord::Ended;
            }
            if code == RDKafkaErrorCode::QueueFull {
                thread::sleep(QUEUE_FULL_PAUSE);
                continue;
            }
            // A partition that was added since the client last looked.
            if code == RDKafkaErrorCode::UnknownPartition
                && !std::mem::replace(&mut looked, true)
                && self.finds(target)
            {
                continue;
            }
            let source = &batch.lane().id;
            return match classify::write_failure(&AckFailure::Refused(code), source, target, offset) {
                Some(error) => GivenRecord::Refused(error),
                None => GivenRecord::Ended,
            };
        }
    }
}

impl RecordsWriter {
    /// Makes the client look at the topic again; whether it knows the partition now.
    fn finds(&self, target: &TopicPartition) -> bool {
        match self.producer.client().fetch_metadata(Some(target.topic.as_str()), LOOK) {
            Ok(metadata) => metadata
                .topics()
                .iter()
                .any(|topic| topic.partitions().iter().any(|partition| partition.id() == target.partition)),
            // The batch is tried again, and with it the look.
            Err(_) => false,
        }
    }
}
