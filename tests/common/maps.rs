//! The stored offset maps, compared with what both logs say.

use std::collections::BTreeMap;
use std::time::Duration;

use mirrormesh::config::ClientSettings;
use mirrormesh::offsets::{OffsetMap, Translation};
use mirrormesh::store::{LoadedOffsets, OffsetsTopic};
use mirrormesh::wire::Wire;

use super::{Consumed, KafkaClient};

/// Plaintext settings of our own connection.
pub fn wire_settings(bootstrap: &str) -> ClientSettings {
    ClientSettings {
        bootstrap: bootstrap.split(',').map(str::to_owned).collect(),
        client_id: "mirrormesh".to_owned(),
        rack: None,
        tls: None,
        sasl: None,
        request_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        reconnect_backoff: Duration::from_millis(50),
        reconnect_backoff_max: Duration::from_millis(500),
        rdkafka_consumer: Vec::new(),
        rdkafka_producer: Vec::new(),
    }
}

/// What is stored on the cluster at `bootstrap` of a flow whose source is called `source`.
pub async fn stored_offsets(bootstrap: &str, source: &str, flow: &str) -> LoadedOffsets {
    let wire = Wire::new("target".into(), &wire_settings(bootstrap)).expect("the settings are sound");
    OffsetsTopic::load(&wire, &source.into(), &flow.into()).await.expect("the offsets topic can be read")
}

/// A partition's log: its records by offset, and where it ends.
#[derive(Clone, Debug)]
pub struct LogView {
    records: Vec<Consumed>,
    end: i64,
}

/// What a reader finds in a partition.
pub async fn log_view(client: &KafkaClient, topic: &str, partition: usize) -> LogView {
    let records = client.consume_all(topic).await.swap_remove(partition);
    LogView { records, end: client.end_offsets(topic).await[partition] }
}

/// What a map must say of a source offset that has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Where the next record's copy lies.
    Exact,
    /// Nothing beyond that: the source may have had a record there when it was mirrored.
    Safe,
}

/// Says in how far a map is not the truth; values of records must be unique on the source.
///
/// For each record of the source from `known_from` on: exactly where its only copy lies, and back again. For the
/// offsets between them as `between` says; the log's end belongs to the target's.
pub fn map_differs(
    map: &OffsetMap,
    here: &LogView,
    there: &LogView,
    known_from: i64,
    between: Between,
) -> Option<String> {
    let mut copies: BTreeMap<&[u8], i64> = BTreeMap::new();
    for copy in &there.records {
        if let Some(before) = copies.insert(value(copy), copy.offset) {
            return Some(format!("{} and {before} on the target are copies of one record", copy.offset));
        }
    }
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    for record in here.records.iter().filter(|record| record.offset >= known_from) {
        match copies.get(value(record)) {
            Some(copy) => expected.insert(record.offset, *copy),
            None => return Some(format!("source offset {} has no copy", record.offset)),
        };
    }
    for offset in known_from..=here.end {
        let next = expected.range(offset..).next().map_or(there.end, |(_, copy)| *copy);
        let found = map.forward(offset);
        let safe = between == Between::Safe && !expected.contains_key(&offset);
        let holds = match found.offset() {
            Some(found) if safe => found <= next,
            _ => found == Translation::Exact(next),
        };
        if !holds {
            return Some(format!("source offset {offset} is at {next}, the map says {found:?}"));
        }
    }
    for (offset, copy) in &expected {
        if map.backward(*copy) != Translation::Exact(*offset) {
            return Some(format!("target offset {copy} is {offset}, the map says {:?}", map.backward(*copy)));
        }
    }
    None
}

fn value(record: &Consumed) -> &[u8] {
    record.record.value.as_deref().unwrap_or_default()
}
