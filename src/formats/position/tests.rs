//! Tests of the positions topic's records.

use proptest::prelude::*;

use super::*;
use crate::formats::Anchors;

fn key() -> PositionKey {
    PositionKey { flow: "east-to-west".into(), source: TopicPartition::new("orders", 3) }
}

fn position() -> Position {
    let mut anchors = Anchors::starting_at(0, 0);
    assert!(anchors.push(1000, 990));
    Position {
        source_cluster: "kA".into(),
        target_cluster: "kB".into(),
        source_topic_id: "7f1c0bb4-9d3a-4f52-9a51-0a1b2c3d4e5f".parse().map(TopicId).unwrap(),
        remote_topic: "east.orders".into(),
        target_topic_id: TopicId::default(),
        source_epoch: 4,
        target_epoch: -1,
        source_next: 1200,
        target_next: 1190,
        producer: Some(ProducerState { id: 9, epoch: 2, next_sequence: 77 }),
        fingerprint: "read_committed".into(),
        clean: true,
        anchors,
        written_ms: 1_700_000_000_000,
    }
}

fn stored() -> StoredPosition {
    StoredPosition { token: Some(Token(17)), position: position() }
}

fn flow() -> FlowName {
    FlowName::from("east-to-west")
}

fn claim() -> Claim {
    Claim { process: "p".into(), host: "h".into(), pid: 1, claimed_ms: 2, released: false }
}

/// The stored form is a contract with older and newer versions of this program: it changes only on purpose.
const STORED: &str = concat!(
    r#"{"v":1,"claim":17,"source_cluster":"kA","target_cluster":"kB","#,
    r#""source_topic_id":"7f1c0bb4-9d3a-4f52-9a51-0a1b2c3d4e5f","remote_topic":"east.orders","#,
    r#""target_topic_id":"00000000-0000-0000-0000-000000000000","source_epoch":4,"target_epoch":-1,"#,
    r#""source_next":1200,"target_next":1190,"producer":{"id":9,"epoch":2,"next_sequence":77},"#,
    r#""fingerprint":"read_committed","clean":true,"#,
    r#""anchors":[{"source":1000,"target":990},{"source":0,"target":0}],"written_ms":1700000000000}"#,
);

#[test]
fn a_position_is_stored_as_readable_json() {
    assert_eq!(String::from_utf8(key().encode()).unwrap(), r#"["position","east-to-west","orders",3]"#);
    assert_eq!(String::from_utf8(position().encode(Some(Token(17)))).unwrap(), STORED);
    let entry = decode(Some(&key().encode()), Some(STORED.as_bytes())).unwrap();
    assert_eq!(entry, PositionEntry::Position(key(), Some(stored())));
}

#[test]
fn a_position_that_an_older_program_wrote_has_no_token_and_stays_as_it_is() {
    let older = STORED.replace(r#""claim":17,"#, "");
    let read = StoredPosition { token: None, position: position() };
    let entry = decode(Some(&key().encode()), Some(older.as_bytes())).unwrap();
    assert_eq!(entry, PositionEntry::Position(key(), Some(read.clone())));
    assert_eq!(String::from_utf8(read.position.encode(read.token)).unwrap(), older);
}

#[test]
fn a_claim_is_stored_as_readable_json() {
    let scope = ClaimScope::Flow(flow());
    assert_eq!(String::from_utf8(scope.key()).unwrap(), r#"["claim","east-to-west"]"#);
    let stored = r#"{"v":1,"process":"p","host":"h","pid":1,"claimed_ms":2,"released":false}"#;
    assert_eq!(String::from_utf8(claim().encode()).unwrap(), stored);
    let entry = decode(Some(&scope.key()), Some(stored.as_bytes())).unwrap();
    assert_eq!(entry, PositionEntry::Claim(scope, Some(claim())));
    let scope = ClaimScope::Partition(flow(), TopicPartition::new("orders", 3));
    assert_eq!(String::from_utf8(scope.key()).unwrap(), r#"["claim","east-to-west","orders",3]"#);
    let entry = decode(Some(&scope.key()), Some(stored.as_bytes())).unwrap();
    assert_eq!(entry, PositionEntry::Claim(scope, Some(claim())));
}

#[test]
fn a_command_is_stored_as_readable_json() {
    let command = Command { paused: true, asked_ms: 3 };
    let stored = r#"{"v":1,"paused":true,"asked_ms":3}"#;
    assert_eq!(String::from_utf8(Command::key(&flow())).unwrap(), r#"["command","east-to-west"]"#);
    assert_eq!(String::from_utf8(command.encode()).unwrap(), stored);
    let entry = decode(Some(&Command::key(&flow())), Some(stored.as_bytes())).unwrap();
    assert_eq!(entry, PositionEntry::Command(flow(), Some(command)));
}

#[test]
fn tombstones_and_unknown_kinds_are_told_apart() {
    let entry = decode(Some(&key().encode()), None).unwrap();
    assert_eq!(entry, PositionEntry::Position(key(), None));
    let scope = ClaimScope::Flow(flow());
    assert_eq!(decode(Some(&scope.key()), None).unwrap(), PositionEntry::Claim(scope, None));
    assert_eq!(decode(Some(br#"["lease",{"x":1}]"#), Some(b"\xff")).unwrap(), PositionEntry::Unknown);
}

#[test]
fn fields_of_a_newer_program_are_ignored() {
    let newer = STORED.replace(r#""clean":true"#, r#""mood":{"deep":[1,2]},"clean":true"#);
    let entry = decode(Some(&key().encode()), Some(newer.as_bytes())).unwrap();
    assert_eq!(entry, PositionEntry::Position(key(), Some(stored())));
}

#[test]
fn another_version_is_refused_whatever_else_it_holds() {
    let command = Command::key(&flow());
    for (key, record) in
        [(key().encode(), "position"), (ClaimScope::Flow(flow()).key(), "claim"), (command, "command")]
    {
        let error = decode(Some(&key), Some(br#"{"v":2,"anything":true}"#)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "a {record} record has version 2, but this program knows only version 1: \
                 a newer program wrote it; upgrade this one"
            )
        );
        let error = decode(Some(&key), Some(br#"{"anything":true}"#)).unwrap_err();
        assert!(error.to_string().contains("missing field `v`"), "{error}");
    }
}

#[test]
fn damage_is_told_by_what_and_where() {
    let refused = |key: Option<&[u8]>, value: &[u8]| decode(key, Some(value)).unwrap_err().to_string();
    let good = key().encode();
    let v = STORED.as_bytes();
    assert_eq!(refused(None, v), "a positions record has no key");
    assert!(refused(Some(b"orders"), v).starts_with("the key of a positions record can't be read"));
    assert!(refused(Some(b"[]"), v).contains("starts with a kind"));
    assert!(refused(Some(b"[1]"), v).contains("starts with a kind"));
    assert!(refused(Some(br#"["position","f"]"#), v).starts_with("the key of a position record"));
    assert!(refused(Some(br#"["position","f","t",-1]"#), v).contains("the partition is negative"));
    assert!(refused(Some(&good), b"").starts_with("the value of a position record"));
    let unclaimed = STORED.replace(":17", ":-1");
    assert!(refused(Some(&good), unclaimed.as_bytes()).contains("its claim has a negative offset"));
    assert!(refused(Some(br#"["claim","f","t"]"#), b"{}").starts_with("the key of a claim record"));
    assert!(refused(Some(br#"["claim","f","t",-1]"#), b"{}").contains("the partition is negative"));
    let negative = STORED.replace("1190", "-5");
    assert!(refused(Some(&good), negative.as_bytes()).contains("an offset is negative"));
    let unordered = STORED.replace("990", "0");
    assert!(refused(Some(&good), unordered.as_bytes()).contains("anchors are out of order"));
    let partial = STORED.replace(r#""source_next":1200,"#, "");
    assert!(refused(Some(&good), partial.as_bytes()).contains("source_next"));
}

#[test]
fn the_topic_is_named_after_the_source() {
    assert_eq!(positions_topic(&"east".into()).as_str(), "__mirrormesh-positions.east");
}

prop_compose! {
    fn positions()(
        text in proptest::array::uniform4(".*"),
        ids in any::<[u128; 2]>(),
        epochs in any::<[i32; 2]>(),
        next in proptest::array::uniform2(0..i64::MAX),
        producer in proptest::option::of(any::<(i64, i16, i32)>()),
        clean: bool,
        pushes in proptest::collection::vec((0..1_000_000_i64, 1..1_000_000_i64), 0..40),
        written_ms: i64,
    ) -> Position {
        let [source_cluster, target_cluster, remote_topic, fingerprint] = text;
        let mut anchors = Anchors::starting_at(0, 0);
        for (by_source, by_target) in pushes {
            let newest = anchors.as_slice()[0];
            anchors.push(newest.source + by_source, newest.target + by_target);
        }
        Position {
            source_cluster,
            target_cluster,
            source_topic_id: TopicId(uuid::Uuid::from_u128(ids[0])),
            remote_topic: remote_topic.into(),
            target_topic_id: TopicId(uuid::Uuid::from_u128(ids[1])),
            source_epoch: epochs[0],
            target_epoch: epochs[1],
            source_next: next[0],
            target_next: next[1],
            producer: producer.map(|(id, epoch, next_sequence)| ProducerState { id, epoch, next_sequence }),
            fingerprint,
            clean,
            anchors,
            written_ms,
        }
    }
}

proptest! {
    #[test]
    fn positions_round_trip(
        flow: String,
        topic: String,
        partition in 0..i32::MAX,
        position in positions(),
        token in proptest::option::of(0..i64::MAX),
    ) {
        let key = PositionKey { flow: flow.into(), source: TopicPartition::new(topic, partition) };
        let stored = StoredPosition { token: token.map(Token), position };
        let entry = decode(Some(&key.encode()), Some(&stored.position.encode(stored.token))).unwrap();
        prop_assert_eq!(entry, PositionEntry::Position(key, Some(stored)));
    }

    #[test]
    fn claims_round_trip(flow: String, process: String, host: String, pid: u32, at: i64, released: bool) {
        let scope = ClaimScope::Flow(flow.into());
        let claim = Claim { process, host, pid, claimed_ms: at, released };
        let entry = decode(Some(&scope.key()), Some(&claim.encode())).unwrap();
        prop_assert_eq!(entry, PositionEntry::Claim(scope, Some(claim)));
    }

    /// Whatever a damaged record is taken for, it is sound: what is read can be written and read again.
    #[test]
    fn damaged_records_are_refused_or_sound(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        in_key: bool,
    ) {
        let (mut key, mut value) = (key().encode(), STORED.as_bytes().to_vec());
        let damaged = if in_key { &mut key } else { &mut value };
        for (at, byte) in changes {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        if let Ok(PositionEntry::Position(key, Some(stored))) = decode(Some(&key), Some(&value)) {
            let again = decode(Some(&key.encode()), Some(&stored.position.encode(stored.token))).unwrap();
            prop_assert_eq!(again, PositionEntry::Position(key, Some(stored)));
        }
    }
}

#[test]
fn a_cut_value_never_passes_for_a_whole_one() {
    for end in 0..STORED.len() {
        assert!(decode(Some(&key().encode()), Some(&STORED.as_bytes()[..end])).is_err(), "cut at {end}");
    }
}
