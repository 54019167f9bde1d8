//! Sample orders, written at a modest rate.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::clusters::{ORDERS, PARTITIONS, SampleCluster};

/// Pause between two orders: about fifty a second.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the last orders may take to be acknowledged.
const FLUSH: Duration = Duration::from_secs(10);

/// A producer at work.
pub struct Orders {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<usize, String>>,
}

impl Orders {
    /// Starts writing orders to a cluster, on a thread of its own.
    pub fn write_to(cluster: &SampleCluster) -> Result<Self, Box<dyn Error>> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap())
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let shop = cluster.name();
        let thread = std::thread::spawn(move || write(&producer, shop, &stopped));
        Ok(Self { stop, thread })
    }

    /// Stops and waits until every order is acknowledged; returns how many there are.
    pub fn stop(self) -> Result<usize, Box<dyn Error>> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(written) => Ok(written?),
            Err(_) => Err("the thread that writes orders panicked".into()),
        }
    }
}

fn write(
    producer: &ThreadedProducer<DefaultProducerContext>,
    shop: &str,
    stop: &AtomicBool,
) -> Result<usize, String> {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let customer = format!("customer-{}", written % 17);
        let order = serde_json::json!({ "shop": shop, "order": written, "cents": 100 + written * 7 % 9_900 });
        let order = order.to_string();
        let partition = i32::try_from(written % 17).expect("below 17") % PARTITIONS;
        let headers = OwnedHeaders::new().insert(Header { key: "shop", value: Some(shop) });
        let record =
            BaseRecord::to(ORDERS).partition(partition).key(&customer).payload(&order).headers(headers);
        producer.send(record).map_err(|(error, _)| format!("an order for {shop} was refused: {error}"))?;
        written += 1;
        std::thread::sleep(PAUSE);
    }
    producer.flush(FLUSH).map_err(|error| format!("orders for {shop} were not acknowledged: {error}"))?;
    Ok(written)
}
