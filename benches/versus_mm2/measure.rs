//! One mirror over one workload: how long, at what cost, and whether all arrived.

use std::time::Instant;

use serde::Serialize;
use tokio::runtime::Runtime;

use crate::latency::{self, Latency};
use crate::subject::{Job, Running, Subject};
use crate::support::ends::Ends;
use crate::support::fill::Filled;
use crate::support::procfs;
use crate::support::stretch::{Course, follow};

/// The figures of one mirror over one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Workload.
    pub workload: String,
    /// Subject.
    pub subject: String,
    /// Records mirrored.
    pub records: u64,
    /// Keys and values mirrored, before compression.
    pub bytes: u64,
    /// How it went.
    #[serde(flatten)]
    pub course: Course,
    /// `VmHWM` when everything was over.
    pub peak_resident_bytes: u64,
    /// From a new topic's first record on the source to the same on the target.
    pub new_topic_seconds: Option<f64>,
    /// End to end, at 200 records a second.
    pub latency: Option<Latency>,
}

/// Starts the mirror, waits until the topic is on the target, and stops it; fails if the copy has another count.
pub fn mirror(
    runtime: &Runtime,
    subject: Subject,
    job: &Job<'_>,
    filled: Filled,
    partitions: i32,
) -> Measured {
    let remote = format!("{}.{}", job.alias, job.topics[0]);
    let mut ends = Ends::new(job.target.client(), &remote, partitions);
    let started = Instant::now();
    let mut running = Running::start(subject, job);
    let course = follow(running.pid(), started, || running.assert_running(), &mut ends, filled);
    let new_topic = job.topics.get(1).map(|name| latency::new_topic(runtime, job, &mut running, name));
    let latency = job.topics.get(1).map(|name| latency::latency(job, name));
    running.assert_running();
    let measured = Measured {
        workload: job.workload.to_string(),
        subject: subject.to_string(),
        records: filled.records,
        bytes: filled.bytes,
        course,
        peak_resident_bytes: procfs::peak_resident_bytes(running.pid()),
        new_topic_seconds: new_topic.map(|taken| taken.as_secs_f64()),
        latency,
    };
    runtime.block_on(async {
        running.stop().await;
        job.target.client().delete_topic(&remote).await;
    });
    measured
}
