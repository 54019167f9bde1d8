//! What the offset map of one partition costs: memory, stored bytes, start-up and look-ups, at a million gaps.
//!
//! `cargo bench --bench offset_map`; with another number of gaps: `cargo bench --bench offset_map -- --gaps 100000`.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use mirrormesh::model::{Segment, TopicId};
use mirrormesh::offsets::{ChunkChange, MapIdentity, OffsetMap};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

/// Look-ups of each kind: enough for a tenth of a second.
const LOOK_UPS: u32 = 100_000;

/// The offset map of one partition: memory, stored bytes, load time, look-ups.
#[derive(Parser)]
struct Args {
    /// Gaps of each map.
    #[arg(long, default_value_t = 1_000_000)]
    gaps: u32,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A way in which a log can have gaps: the number of records in a row, and the gap behind them on each side.
struct Shape {
    name: &'static str,
    step: fn(&mut StdRng) -> (u32, i64, i64),
}

const SHAPES: [Shape; 5] = [
    Shape { name: "gapless", step: |_| (100, 0, 0) },
    Shape { name: "transactions of 100", step: |_| (100, 1, 0) },
    Shape { name: "compacted", step: |rng| (rng.random_range(1..=3), rng.random_range(1..=200), 0) },
    Shape { name: "two writers", step: |rng| (rng.random_range(1..=50), 0, rng.random_range(1..=50)) },
    Shape {
        name: "worst of all",
        step: |rng| (rng.random_range(1..=3), rng.random_range(1..1 << 40), rng.random_range(1..1 << 40)),
    },
];

fn main() {
    let args = Args::parse();
    println!("offset map of one partition, {} gaps", args.gaps);
    println!(
        "{:<20} {:>10} {:>10} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10}",
        "", "intervals", "memory B", "B/gap", "stored B", "records", "load ms", "forward ns", "backward ns"
    );
    let figures: Vec<_> = SHAPES.iter().map(|shape| measure(shape, args.gaps)).collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("offset_map.json");
    let text = serde_json::to_string_pretty(&json!({ "gaps": args.gaps, "shapes": figures }))
        .expect("figures are plain data");
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("{}", path.display());
}

fn measure(shape: &Shape, gaps: u32) -> serde_json::Value {
    let mut rng = StdRng::seed_from_u64(5);
    let mut map = OffsetMap::new(identity(), 0, 0);
    let mut segment = Segment { source_base: 0, target_base: 0, count: 0 };
    let building = Instant::now();
    for _ in 0..=gaps {
        let (count, source_gap, target_gap) = (shape.step)(&mut rng);
        segment.count = count;
        map.acknowledged(&[segment], segment.source_next());
        segment.source_base = segment.source_next() + source_gap;
        segment.target_base = segment.target_next() + target_gap;
    }
    let append_ns = building.elapsed().as_nanos() as f64 / f64::from(gaps + 1);
    let stored = stored(&mut map);
    let stored_bytes: usize = stored.iter().map(|(_, value)| value.len()).sum();
    let loading = Instant::now();
    let loaded = OffsetMap::load(stored.iter().cloned()).expect("what was stored can be loaded");
    let load = loading.elapsed();
    assert!(loaded == map, "{}: what was loaded is not what was stored", shape.name);
    let forward = look_up(&mut rng, map.source_next(), |source| map.forward(source).offset());
    let backward = look_up(&mut rng, map.target_next(), |target| map.backward(target).offset());
    let (intervals, memory_bytes) = (loaded.interval_count(), loaded.memory_bytes());
    println!(
        "{:<20} {intervals:>10} {memory_bytes:>10} {:>8.2} {stored_bytes:>8} {:>8} {:>10.2} {forward:>10.0} {backward:>10.0}",
        shape.name,
        memory_bytes as f64 / f64::from(gaps),
        stored.len(),
        load.as_secs_f64() * 1e3,
    );
    json!({
        "shape": shape.name,
        "intervals": intervals,
        "memory_bytes": memory_bytes,
        "stored_bytes": stored_bytes,
        "records": stored.len(),
        "append_nanoseconds": append_ns,
        "load_seconds": load.as_secs_f64(),
        "forward_nanoseconds": forward,
        "backward_nanoseconds": backward,
    })
}

fn identity() -> MapIdentity {
    MapIdentity {
        source_topic_id: TopicId::default(),
        remote_topic: "east.orders".into(),
        target_topic_id: TopicId::default(),
    }
}

/// Everything that is to be stored, as it is read back at a start.
fn stored(map: &mut OffsetMap) -> Vec<(u64, Bytes)> {
    let changes = map.take_changes();
    map.changes_saved();
    changes
        .into_iter()
        .filter_map(|change| match change {
            ChunkChange::Write { chunk, value } => Some((chunk, value.into())),
            ChunkChange::Remove { .. } => None,
        })
        .collect()
}

/// Nanoseconds of a look-up of an offset below `end`, on average.
fn look_up(rng: &mut StdRng, end: i64, answer: impl Fn(i64) -> Option<i64>) -> f64 {
    let asked: Vec<i64> = (0..LOOK_UPS).map(|_| rng.random_range(0..end)).collect();
    let asking = Instant::now();
    for offset in asked {
        black_box(answer(offset));
    }
    Duration::as_nanos(&asking.elapsed()) as f64 / f64::from(LOOK_UPS)
}
