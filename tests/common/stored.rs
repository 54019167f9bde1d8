//! What a broker has on its disk: the truth, with nobody's client in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mirrormesh::batch::{RawBatch, split};

use super::{Broker, CEILING};

/// Bytes of a batch before its records (KIP-98, magic 2).
const HEADER_BYTES: usize = 61;

/// The batches of a partition as a broker has them on disk, in order. The cleaner of a running broker may take a file
/// away while it is looked at: then all are looked at again.
pub fn stored_batches(broker: &Broker, topic: &str, partition: i32) -> Vec<RawBatch> {
    let deadline = Instant::now() + CEILING;
    loop {
        match look(broker, topic, partition) {
            Ok(batches) => return batches,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn look(broker: &Broker, topic: &str, partition: i32) -> Result<Vec<RawBatch>, String> {
    let mut batches = Vec::new();
    for segment in segments(broker.data_dir(), topic, partition) {
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", segment.display());
        let bytes = fs::read(&segment).map_err(|error| at(&error))?;
        for batch in split(Bytes::from(bytes)) {
            batches.push(batch.map_err(|error| at(&error))?);
        }
    }
    Ok(batches)
}

/// What follows a batch's header: its records, compressed as they were.
pub fn body(batch: &RawBatch) -> &[u8] {
    &batch.bytes()[HEADER_BYTES..]
}

/// Flips a bit in the last byte of the batch that holds this offset; the broker must be down.
///
/// The last byte belongs to the records, so only the checksum is wrong.
pub fn damage(broker: &Broker, topic: &str, partition: i32, offset: i64) {
    assert_eq!(broker.pid(), None, "the broker of a file that is changed must be down");
    for segment in segments(broker.data_dir(), topic, partition) {
        let mut bytes = fs::read(&segment).expect("a segment can be read");
        let mut end = 0;
        for batch in split(Bytes::from(bytes.clone())) {
            let batch = batch.expect("the broker wrote whole batches");
            end += batch.bytes().len();
            if (batch.header().base_offset..=batch.header().last_offset()).contains(&offset) {
                bytes[end - 1] ^= 1;
                fs::write(&segment, bytes).expect("a segment can be written");
                return;
            }
        }
    }
    panic!("{topic}-{partition} has no batch with offset {offset}");
}

/// Replaces a partition's log by this segment, which starts at offset 0; the broker must be down.
///
/// Indexes, producer snapshots and epochs go with the old log: the broker makes new ones from what it reads.
pub fn replace_log(broker: &Broker, topic: &str, partition: i32, segment: &[u8]) {
    assert_eq!(broker.pid(), None, "the broker of a file that is changed must be down");
    let dir = broker.data_dir().join(format!("{topic}-{partition}"));
    for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let file = entry.expect("a folder's entries can be read").path();
        // This one has the topic's id.
        if file.file_name().is_some_and(|name| name != "partition.metadata") {
            fs::remove_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
    fs::write(dir.join(format!("{:020}.log", 0)), segment).expect("a segment can be written");
}

/// The files of a partition's log, oldest first: they are named by their first offset, with leading zeroes.
fn segments(data: &Path, topic: &str, partition: i32) -> Vec<PathBuf> {
    let dir = data.join(format!("{topic}-{partition}"));
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder's entries can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}
