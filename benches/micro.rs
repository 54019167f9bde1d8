//! Micro-benches of what passthrough does per batch, and of topic selection.
//!
//! `cargo bench --bench micro`; a part of them with `cargo bench --bench micro -- restamp`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mirrormesh::batch::{Acceptance, BatchBuilder, Codecs, RawBatch, Stamp, repack};
use mirrormesh::config::{Sources, load};
use mirrormesh::formats::{Anchors, Position};
use mirrormesh::model::{BatchInfo, Codec, Generation, Segment, TopicId, TopicName};
use mirrormesh::replicator::partition::{
    PartitionConfig, PartitionInput, PartitionMachine, PartitionOutput, Resolution,
};
use mirrormesh::topology::Selector;

/// What a target takes by default.
const TARGET: Acceptance =
    Acceptance { max_message_bytes: 1_048_588, append_time: false, refused: Codecs::NONE };

/// Text-like bytes of which a codec makes about half, the same in every run.
fn text(bytes: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"abcdefghijklmnop"[(seed >> 60) as usize]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn batch(codec: Codec, base_offset: i64, records: usize, value_bytes: usize) -> RawBatch {
    let mut builder = BatchBuilder::new(codec).base_offset(base_offset).producer(1, 0, 0);
    for index in 0..records {
        let value = text(value_bytes, base_offset as u64 + index as u64);
        builder.push(1_700_000_000_000 + index as i64, Some(b"key"), Some(&value), &[]);
    }
    RawBatch::parse(builder.build().expect("a batch")).expect("a batch")
}

/// What each batch costs that crosses unopened.
fn restamp(criterion: &mut Criterion) {
    let stamp = Stamp { producer_id: 4_711, producer_epoch: 1, base_sequence: 1_000 };
    let sizes = [("1MiB", batch(Codec::None, 7, 1_000, 1_024)), ("2kB", batch(Codec::None, 7, 1, 2_000))];
    let mut group = criterion.benchmark_group("restamp");
    for (name, batch) in &sizes {
        group.throughput(Throughput::Bytes(batch.bytes().len() as u64));
        group.bench_function(format!("{name}/alone"), |bencher| {
            bencher.iter(|| black_box(batch).restamp(stamp));
        });
        group.bench_function(format!("{name}/verified"), |bencher| {
            bencher.iter(|| {
                let batch = black_box(batch);
                batch.verify_crc().and_then(|()| batch.restamp(stamp))
            });
        });
        // For comparison: a second pass over the body, as it would be without the shortcut.
        group.bench_function(format!("{name}/one_more_pass"), |bencher| {
            bencher.iter(|| crc32c::crc32c(black_box(&batch.bytes()[61..])));
        });
    }
    group.finish();
}

fn repacking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("repack");
    for codec in [Codec::None, Codec::Lz4] {
        let singles: Vec<RawBatch> = (0..50).map(|offset| batch(codec, offset, 1, 2_000)).collect();
        group.throughput(Throughput::Elements(50));
        group.bench_function(format!("merge_50_of_2kB/{codec}"), |bencher| {
            bencher.iter(|| repack(black_box(&singles), 0, &TARGET).expect("sound batches"));
        });
        let large = [batch(codec, 0, 1_000, 1_000)];
        group.throughput(Throughput::Elements(1_000));
        group.bench_function(format!("trim_1000_of_1kB/{codec}"), |bencher| {
            bencher.iter(|| repack(black_box(&large), 1, &TARGET).expect("sound batches"));
        });
    }
    group.finish();
}

/// A machine that streams from offset 0 on, on both sides.
fn streaming() -> PartitionMachine {
    let config = PartitionConfig {
        positions_interval: Duration::from_secs(1),
        seed: 1,
        place: "a→b orders-0".to_owned(),
    };
    let position = Position {
        source_cluster: "S".to_owned(),
        target_cluster: "T".to_owned(),
        source_topic_id: TopicId::default(),
        remote_topic: "a.orders".into(),
        target_topic_id: TopicId::default(),
        source_epoch: 3,
        target_epoch: 1,
        source_next: 0,
        target_next: 0,
        producer: None,
        fingerprint: String::new(),
        clean: false,
        anchors: Anchors::starting_at(0, 0),
        written_ms: 0,
    };
    let resolution = Resolution {
        source_next: 0,
        target_next: 0,
        source_epoch: 3,
        leader_epoch: 3,
        target_epoch: 1,
        matched: Vec::new(),
        position,
        events: Vec::new(),
        save: false,
    };
    let mut machine = PartitionMachine::new(config, Generation(1));
    let mut out = Vec::new();
    for input in
        [PartitionInput::Start, PartitionInput::LaneOpened, PartitionInput::Resolved(Box::new(resolution))]
    {
        machine.handle(Duration::ZERO, input, &mut out);
    }
    assert_eq!(out.last(), Some(&PartitionOutput::Fetch { offset: 0, leader_epoch: 3 }));
    machine
}

/// Five batches in flight at a time, 1,000 records each, a millisecond apart; positions are saved as they come up.
fn bookkeep(mut machine: PartitionMachine, batches: i64) -> Option<i64> {
    const RECORDS: u32 = 1_000;
    const IN_FLIGHT: i64 = 5;
    let mut out = Vec::new();
    for at in 0..batches + IN_FLIGHT {
        let now = Duration::from_millis(at as u64);
        if at < batches {
            let source_base = at * i64::from(RECORDS);
            let info = BatchInfo {
                source_base,
                source_next: source_base + i64::from(RECORDS),
                records: RECORDS,
                bytes: 1 << 20,
                leader_epoch: 3,
                max_timestamp_ms: 1_700_000_000_000,
            };
            machine.handle(now, PartitionInput::Fetched(info), &mut out);
        }
        if at >= IN_FLIGHT {
            let base = (at - IN_FLIGHT) * i64::from(RECORDS);
            let segment = Segment { source_base: base, target_base: base, count: RECORDS };
            let acknowledged = PartitionInput::Acknowledged {
                source_next: segment.source_next(),
                target_next: Some(segment.target_next()),
                segments: vec![segment],
            };
            machine.handle(now, acknowledged, &mut out);
        }
        if out.iter().any(|output| matches!(output, PartitionOutput::SavePosition(_))) {
            machine.handle(now, PartitionInput::PositionSaved, &mut out);
        }
        out.clear();
    }
    machine.target_next()
}

fn bookkeeping(criterion: &mut Criterion) {
    const BATCHES: i64 = 1_000;
    assert_eq!(bookkeep(streaming(), BATCHES), Some(BATCHES * 1_000));
    let mut group = criterion.benchmark_group("bookkeeping");
    group.throughput(Throughput::Elements(BATCHES as u64));
    group.bench_function("1000_batches", |bencher| {
        bencher.iter_batched(streaming, |machine| bookkeep(machine, BATCHES), BatchSize::SmallInput);
    });
    group.finish();
}

fn selection(criterion: &mut Criterion) {
    let sources = Sources { file: "topologies/full-mesh.yaml".into(), env: false, set: Vec::new() };
    let topology = load(&sources).expect("the example is sound").topology;
    let flow = topology.flows.values().next().expect("the example has flows");
    let selector = Selector::new(flow, &topology).expect("its patterns are sound");
    // One in ten was mirrored already, and is excluded.
    let names: Vec<TopicName> = (0..10_000)
        .map(|index| {
            let prefix = if index % 10 == 0 { "eu." } else { "" };
            format!("{prefix}team-{}.orders-{index}", index % 37).as_str().into()
        })
        .collect();
    let taken =
        || names.iter().filter(|name| selector.select(black_box(name), false).remote().is_some()).count();
    assert_eq!(taken(), 9_000);
    let mut group = criterion.benchmark_group("selection");
    group.throughput(Throughput::Elements(names.len() as u64));
    group.bench_function("10000_names", |bencher| bencher.iter(taken));
    group.finish();
}

criterion_group!(micro, restamp, repacking, bookkeeping, selection);
criterion_main!(micro);
