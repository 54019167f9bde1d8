//! Tests of the offsets topic's records.

use proptest::prelude::*;

use super::*;

fn map_key() -> MapKey {
    MapKey { flow: "east-to-west".into(), source: TopicPartition::new("orders", 3), chunk: 7 }
}

fn group_key() -> GroupSyncKey {
    GroupSyncKey { flow: "east-to-west".into(), group: "billing".into(), topic: "orders".into() }
}

/// As it is stored: a field that changes its name here is lost to every older program.
const STORED: &str = r#"{"v":1,"partitions":[{"partition":3,"source":10,"target":5,"planned_target":9,"planned_owner":"target","written_ms":1700000000000},{"partition":4,"planned_source":1,"written_ms":0}]}"#;

fn sync() -> GroupSync {
    GroupSync {
        partitions: vec![
            SyncedPartition {
                partition: 3,
                source: Some(10),
                target: Some(5),
                planned_source: None,
                planned_target: Some(9),
                planned_owner: Side::Target,
                written_ms: 1_700_000_000_000,
                ..SyncedPartition::default()
            },
            SyncedPartition { partition: 4, planned_source: Some(1), ..SyncedPartition::default() },
        ],
    }
}

#[test]
fn records_are_stored_as_they_always_were() {
    assert_eq!(offsets_topic(&"east".into()).as_str(), "__mirrormesh-offsets.east");
    assert_eq!(map_key().encode(), br#"["map","east-to-west","orders",3,7]"#);
    assert_eq!(group_key().encode(), br#"["group","east-to-west","billing","orders"]"#);
    assert_eq!(String::from_utf8(sync().encode()).unwrap(), STORED);
    let entry = OffsetsEntry::decode(Some(&group_key().encode()), Some(STORED.as_bytes())).unwrap();
    assert_eq!(entry, OffsetsEntry::GroupSync(group_key(), Some(sync())));
}

#[test]
fn chunks_and_tombstones_come_back() {
    let read = |key: &[u8], value: Option<&[u8]>| OffsetsEntry::decode(Some(key), value).unwrap();
    let chunk = read(&map_key().encode(), Some(b"\xff\x00"));
    assert_eq!(chunk, OffsetsEntry::Chunk(map_key(), Some(Bytes::from_static(b"\xff\x00"))));
    assert_eq!(read(&map_key().encode(), None), OffsetsEntry::Chunk(map_key(), None));
    assert_eq!(read(&group_key().encode(), None), OffsetsEntry::GroupSync(group_key(), None));
    assert_eq!(read(br#"["lease",{"x":1}]"#, Some(b"\xff")), OffsetsEntry::Unknown);
}

#[test]
fn unknown_fields_are_ignored_and_unknown_versions_refused() {
    let newer = STORED
        .replacen("\"v\":1", "\"v\":1,\"mood\":[1]", 1)
        .replace("{\"partition\"", "{\"x\":0,\"partition\"");
    let entry = OffsetsEntry::decode(Some(&group_key().encode()), Some(newer.as_bytes())).unwrap();
    assert_eq!(entry, OffsetsEntry::GroupSync(group_key(), Some(sync())));
    let error =
        OffsetsEntry::decode(Some(&group_key().encode()), Some(br#"{"v":2,"anything":true}"#)).unwrap_err();
    assert!(matches!(error, FormatError::Version { record: "group", version: 2, known: 1 }), "{error}");
}

#[test]
fn damage_is_told_by_name() {
    let refused =
        |key: Option<&[u8]>, value: &[u8]| OffsetsEntry::decode(key, Some(value)).unwrap_err().to_string();
    assert!(refused(None, b"").contains("no key"));
    assert!(refused(Some(b"[]"), b"").contains("starts with a kind"));
    assert!(refused(Some(b"{}"), b"").contains("key of a map or group record"));
    assert!(refused(Some(br#"["map","f","t",-1,0]"#), b"").contains("partition is negative"));
    assert!(refused(Some(br#"["map","f","t",0,-1]"#), b"").contains("key of a map record"));
    assert!(refused(Some(br#"["group","f","g"]"#), b"").contains("key of a group record"));
    let value = |value: &str| refused(Some(&group_key().encode()), value.as_bytes());
    assert!(value("").contains("value of a group record"));
    assert!(value(&STORED.replace(":3,", ":-3,")).contains("a partition is negative"));
    for field in ["source\":10", "target\":5", "planned_target\":9", "planned_source\":1"] {
        let (name, number) = field.split_once(':').unwrap();
        let damaged = STORED.replace(field, &format!("{name}:-{number}"));
        assert!(value(&damaged).contains("an offset is negative"), "{damaged}");
    }
}

proptest! {
    #[test]
    fn group_syncs_round_trip(
        flow: String,
        group: String,
        topic: String,
        synced in proptest::collection::vec(
            (0..i32::MAX, prop::option::of(0..i64::MAX), prop::option::of(0..i64::MAX), any::<i64>()),
            0..20,
        ),
    ) {
        let key = GroupSyncKey { flow: flow.into(), group, topic: topic.into() };
        let partitions = synced
            .into_iter()
            .map(|(partition, one, other, written_ms)| SyncedPartition {
                partition,
                source: one,
                target: other,
                planned_source: other,
                planned_target: one,
                written_ms,
                ..SyncedPartition::default()
            })
            .collect();
        let sync = GroupSync { partitions };
        let entry = OffsetsEntry::decode(Some(&key.encode()), Some(&sync.encode())).unwrap();
        prop_assert_eq!(entry, OffsetsEntry::GroupSync(key, Some(sync)));
    }

    #[test]
    fn map_keys_round_trip(flow: String, topic: String, partition in 0..i32::MAX, chunk: u64, value: Vec<u8>) {
        let key = MapKey { flow: flow.into(), source: TopicPartition::new(topic, partition), chunk };
        let entry = OffsetsEntry::decode(Some(&key.encode()), Some(&value)).unwrap();
        prop_assert_eq!(entry, OffsetsEntry::Chunk(key, Some(value.into())));
    }

    /// Damaged JSON of our own making, so that more than the parser's first byte is tested. It may still be sound;
    /// then it can be written and read again.
    #[test]
    fn damaged_records_never_panic(
        in_value: bool,
        at: prop::sample::Index,
        byte: u8,
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut parts = [group_key().encode(), sync().encode()];
        let part = &mut parts[usize::from(in_value)];
        let place = at.index(part.len());
        part[place] = byte;
        if let Some(cut) = cut {
            part.truncate(cut.index(part.len()));
        }
        if let Ok(OffsetsEntry::GroupSync(key, Some(sync))) = OffsetsEntry::decode(Some(&parts[0]), Some(&parts[1])) {
            let again = OffsetsEntry::decode(Some(&key.encode()), Some(&sync.encode())).unwrap();
            prop_assert_eq!(again, OffsetsEntry::GroupSync(key, Some(sync)));
        }
    }
}
