//! How fast one partition is mirrored.

use std::time::Instant;

use crate::common::MirrorProcess;
use crate::support::ends::Ends;
use crate::support::fill::{Contents, Filled, fill};
use crate::support::stretch::follow;
use crate::{DELAY, Site};

const NAME: &str = "bench-link";
/// Largest batch that a topic takes by default: 1 MiB and the overhead of its log.
const LARGEST_BATCH_BYTES: f64 = 1_048_588.0;
/// Batches of one partition that an idempotent producer may have unacknowledged.
const IN_FLIGHT: f64 = 5.0;

/// What Kafka's rules allow one partition per second with the delay on the target's side.
pub fn allowed_megabytes_per_second() -> f64 {
    IN_FLIGHT * LARGEST_BATCH_BYTES / 1e6 / (2.0 * DELAY.as_secs_f64())
}

/// A full topic of one partition: values of 1 KB, not compressed.
pub struct Topic {
    filled: Filled,
}

impl Topic {
    /// Fills it.
    pub fn fill(site: &Site, bytes: u64, batch_bytes: u64) -> Self {
        eprintln!("filling {NAME} with {} MiB", bytes >> 20);
        let client = site.source.client();
        site.runtime.block_on(client.create_topic(NAME, 1, &[]));
        let contents = Contents {
            partitions: 1,
            value_bytes: 1_000,
            codec: "none",
            bytes,
            batch_bytes,
            transactions: false,
        };
        Self { filled: fill(client, NAME, &contents) }
    }

    /// Mirrors it, under an alias of its own, and returns million bytes per second.
    pub fn mirror(&self, site: &Site, alias: &str, link: &str) -> f64 {
        let remote = format!("{alias}.{NAME}");
        let mut ends = Ends::new(site.target.client(), &remote, 1);
        let started = Instant::now();
        let mirror = MirrorProcess::start(&site.topology(alias, NAME), &[]);
        let course = follow(mirror.pid(), started, || mirror.assert_running(), &mut ends, self.filled);
        let rate = course.all.megabytes_per_second();
        println!("one partition, {link}: {rate:.1} MB/s (first record after {:.2} s)", course.start_seconds);
        site.runtime.block_on(async {
            assert_eq!(mirror.terminate().await, Some(0), "{}", mirror.output());
            site.target.client().delete_topic(&remote).await;
        });
        rate
    }
}
