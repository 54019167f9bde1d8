//! Message sets as brokers wrote them before Kafka 0.11 (magic 0 and 1). No release that can be started writes any.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};

use super::TestRecord;

/// Attributes of a message whose value is a gzip-compressed message set.
const GZIP: u8 = 1;

/// A log's worth of message sets.
#[derive(Debug, Default)]
pub struct MessageSets {
    bytes: Vec<u8>,
    next: i64,
}

impl MessageSets {
    /// Appends each record as a message of its own. Magic 0 has no timestamps, and neither has headers.
    pub fn plain(&mut self, magic: u8, records: &[TestRecord]) {
        for record in records {
            let message = of_record(magic, self.next, record);
            self.bytes.extend(message);
            self.next += 1;
        }
    }

    /// Appends the records as one compressed message. Offsets inside are absolute in magic 0 and count from 0 in
    /// magic 1; the outer offset is that of the last record (KIP-31).
    pub fn gzip(&mut self, magic: u8, records: &[TestRecord]) {
        let first = if magic == 0 { self.next } else { 0 };
        let inner: Vec<u8> =
            (first..).zip(records).flat_map(|(offset, record)| of_record(magic, offset, record)).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&inner).expect("memory can be written to");
        let value = encoder.finish().expect("memory can be written to");
        self.next += i64::try_from(records.len()).expect("a count of records is an i64");
        let newest_ms = records.iter().filter_map(|record| record.timestamp_ms).max();
        self.bytes.extend(message(magic, GZIP, self.next - 1, newest_ms, None, Some(&value)));
    }

    /// The content of a segment file that starts at offset 0.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn of_record(magic: u8, offset: i64, record: &TestRecord) -> Vec<u8> {
    assert!(record.headers.is_empty(), "headers came with magic 2");
    assert!(magic == 1 || record.timestamp_ms.is_none(), "timestamps came with magic 1");
    message(magic, 0, offset, record.timestamp_ms, record.key.as_deref(), record.value.as_deref())
}

/// One message; its checksum (CRC-32) covers all that follows it.
fn message(
    magic: u8,
    attributes: u8,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Vec<u8> {
    let mut checked = vec![magic, attributes];
    if magic == 1 {
        checked.extend(timestamp_ms.unwrap_or(-1).to_be_bytes());
    }
    for part in [key, value] {
        checked.extend(part.map_or(-1, |part| length(part.len())).to_be_bytes());
        checked.extend(part.unwrap_or_default());
    }
    let mut crc = Crc::new();
    crc.update(&checked);
    let mut out = offset.to_be_bytes().to_vec();
    out.extend(length(checked.len() + size_of::<u32>()).to_be_bytes());
    out.extend(crc.sum().to_be_bytes());
    out.extend(checked);
    out
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("a length in a message is an i32")
}
