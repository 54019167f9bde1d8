//! Many tiny batches over a long link: without merging them, five per round trip is all that Kafka allows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use crate::common::MirrorProcess;
use crate::support::data::Texts;
use crate::support::ends::Ends;
use crate::support::fill::send;
use crate::{Site, met};

const NAME: &str = "bench-single-records";
const ALIAS: &str = "small";
const RECORDS_PER_SECOND: u32 = 2_500;
const VALUE_BYTES: usize = 2_000;
const SAMPLES_EVERY: Duration = Duration::from_millis(500);
const MOST_LAG_SECONDS: f64 = 2.0;
const LONGEST: Duration = Duration::from_secs(60);

/// Writes for so many seconds and returns the lag, in seconds of writing, at every sample.
pub fn lags(site: &Site, seconds: u32) -> Vec<f64> {
    let client = site.source.client();
    site.runtime.block_on(client.create_topic(NAME, 1, &[]));
    let mirror = MirrorProcess::start(&site.topology(ALIAS, NAME), &[]);
    site.runtime.block_on(mirror.ready());
    let mut written = Ends::new(client, NAME, 1);
    let mut arrived = Ends::new(site.target.client(), &format!("{ALIAS}.{NAME}"), 1);
    let over = AtomicBool::new(false);
    let mut lags = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            write(site, RECORDS_PER_SECOND * seconds);
            over.store(true, Ordering::Release);
        });
        while !over.load(Ordering::Acquire) {
            thread::sleep(SAMPLES_EVERY);
            mirror.assert_running();
            // In this order: a record counts as late rather than as early.
            let there = arrived.total();
            lags.push(written.total().saturating_sub(there) as f64 / f64::from(RECORDS_PER_SECOND));
        }
    });
    let all = u64::from(RECORDS_PER_SECOND * seconds);
    let ended = Instant::now();
    while arrived.total() < all {
        mirror.assert_running();
        assert!(ended.elapsed() < LONGEST, "{} of {all} records after {LONGEST:?}", arrived.total());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(site.runtime.block_on(mirror.terminate()), Some(0), "{}", mirror.output());
    assert_eq!(arrived.total(), all, "more records than were written");
    let most = lags.iter().copied().fold(0.0, f64::max);
    let last = lags.last().copied().unwrap_or_default();
    println!(
        "{RECORDS_PER_SECOND} single-record batches of 2 KB a second, 100 ms round trip to the target: lag at most {most:.2} s, in the end {last:.2} s"
    );
    println!("  wanted: under {MOST_LAG_SECONDS} s: {}", met(most < MOST_LAG_SECONDS));
    lags
}

/// Single-record batches at an even pace.
fn write(site: &Site, records: u32) {
    let mut config = site.source.client().config();
    config.set("linger.ms", "0").set("batch.num.messages", "1").set("compression.codec", "none");
    let producer: ThreadedProducer<_> = config.create().expect("a producer can be built");
    let texts = Texts::new(VALUE_BYTES);
    let began = Instant::now();
    for number in 0..records {
        let due = Duration::from_secs(1) / RECORDS_PER_SECOND * number;
        thread::sleep(due.saturating_sub(began.elapsed()));
        let value = texts.value(u64::from(number));
        send(&producer, BaseRecord::to(NAME).partition(0).key(b"key".as_slice()).payload(value));
    }
    producer.flush(LONGEST).expect("the records can be written");
    let pace = f64::from(records) / began.elapsed().as_secs_f64();
    // A source that can't take them in time would make the mirror look good.
    assert!(pace > 0.95 * f64::from(RECORDS_PER_SECOND), "only {pace:.0} records a second could be written");
}
