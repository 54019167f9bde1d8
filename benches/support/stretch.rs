//! Following a mirror from its first record on the target to its last.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::ends::Ends;
use super::fill::Filled;
use super::procfs;

/// A mirror that makes no progress for so long has failed.
const STALLED: Duration = Duration::from_secs(60);
/// Fine enough for a start of well under a second.
const POLL_FIRST: Duration = Duration::from_millis(5);
const POLL: Duration = Duration::from_millis(20);
/// How long a topic must stay as it is to be called complete: surplus records would come within.
const SETTLED: Duration = Duration::from_secs(1);

/// Some time of mirroring under full load.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stretch {
    /// How long it took.
    pub seconds: f64,
    /// CPU of the mirroring process.
    pub cpu_seconds: f64,
    /// Keys and values that arrived, before compression.
    pub bytes: f64,
}

impl Stretch {
    /// Million bytes per CPU-second.
    pub fn megabytes_per_cpu_second(&self) -> f64 {
        self.bytes / 1e6 / self.cpu_seconds
    }

    /// CPU-seconds per GB (10⁹ bytes).
    pub fn cpu_seconds_per_gigabyte(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.bytes
    }

    /// Million bytes per second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes / 1e6 / self.seconds
    }
}

/// A topic's way over, seen from the target.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Course {
    /// From the process's start to its first record on the target.
    pub start_seconds: f64,
    /// CPU it took for that.
    pub start_cpu_seconds: f64,
    /// From the first record seen on the target to the last.
    pub all: Stretch,
    /// From the moment half of the records were there to the last: a JVM's compiler is mostly done by then.
    pub second_half: Stretch,
}

/// What was seen at one moment.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    cpu_seconds: f64,
    records: u64,
}

/// Watches the process `pid`, started at `started`, until all records are there; fails if there come more.
///
/// `check` fails when the process has ended.
pub fn follow(
    pid: u32,
    started: Instant,
    mut check: impl FnMut(),
    ends: &mut Ends,
    filled: Filled,
) -> Course {
    let mut samples: Vec<Sample> = Vec::new();
    let mut progressed = Instant::now();
    loop {
        let records = ends.total();
        let seen = samples.last().map_or(0, |sample| sample.records);
        if records > seen {
            progressed = Instant::now();
            samples.push(Sample { at: progressed, cpu_seconds: procfs::cpu_seconds(pid), records });
        }
        if records >= filled.records {
            break;
        }
        check();
        let wanted = filled.records;
        assert!(progressed.elapsed() < STALLED, "{seen} of {wanted} records, and no more for {STALLED:?}");
        std::thread::sleep(if samples.is_empty() { POLL_FIRST } else { POLL });
    }
    std::thread::sleep(SETTLED);
    assert_eq!(
        ends.total(),
        filled.records,
        "{}: the count of records differs from the source's",
        ends.topic()
    );

    let [first, .., last] = samples[..] else { panic!("there was too little data to be measured") };
    let half = samples.iter().find(|sample| sample.records >= filled.records / 2).expect("all arrived");
    let bytes_per_record = filled.bytes as f64 / filled.records as f64;
    let until_last = |from: &Sample| Stretch {
        seconds: (last.at - from.at).as_secs_f64(),
        cpu_seconds: last.cpu_seconds - from.cpu_seconds,
        bytes: (last.records - from.records) as f64 * bytes_per_record,
    };
    Course {
        start_seconds: (first.at - started).as_secs_f64(),
        start_cpu_seconds: first.cpu_seconds,
        all: until_last(&first),
        second_half: until_last(half),
    }
}
