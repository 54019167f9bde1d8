//! Fetch and produce: what is read, what is written, and what is not known.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};

use crate::batch::{BatchBuilder, split};
use crate::model::{Codec, Isolation};
use crate::wire::testing::{EPOCH, Reply, Request, Scripted, place};
use crate::wire::{FetchRange, NewRecord, Produced, WireErrorKind};

fn range(offset: i64) -> FetchRange {
    FetchRange {
        partition: place("orders"),
        offset,
        max_bytes: 1000,
        isolation: Isolation::ReadCommitted,
        max_wait: Duration::from_millis(10),
    }
}

fn fetched(request: &Request, data: PartitionData) -> Reply {
    let asked: FetchRequest = request.decode();
    let partition = &asked.topics[0].partitions[0];
    assert_eq!((partition.current_leader_epoch, partition.partition_max_bytes), (EPOCH, 1000));
    assert_eq!((asked.session_id, asked.session_epoch, asked.isolation_level), (0, -1, 1));
    let topic = FetchableTopicResponse::default()
        .with_topic(asked.topics[0].topic.clone())
        .with_partitions(vec![data]);
    request.answer(FetchResponse::default().with_responses(vec![topic]))
}

fn batch(base_offset: i64, producer: Option<i64>, values: &[&str]) -> Bytes {
    let mut batch = BatchBuilder::new(Codec::Lz4).base_offset(base_offset).leader_epoch(3);
    if let Some(id) = producer {
        batch = batch.producer(id, 0, 0).transactional(true);
    }
    for value in values {
        batch.push(1_000, None, Some(value.as_bytes()), &[]);
    }
    batch.build().unwrap()
}

fn produced(request: &Request, code: i16, base_offset: i64) -> Reply {
    let asked: ProduceRequest = request.decode();
    assert_eq!((asked.acks, asked.transactional_id), (-1, None));
    let partition = PartitionProduceResponse::default().with_error_code(code).with_base_offset(base_offset);
    let topic = TopicProduceResponse::default()
        .with_name(asked.topic_data[0].name.clone())
        .with_partition_responses(vec![partition]);
    request.answer(ProduceResponse::default().with_responses(vec![topic]))
}

fn record() -> NewRecord {
    let value = Some(Bytes::from_static(b"v"));
    NewRecord { timestamp_ms: 5, key: None, value, headers: vec![("h".into(), Bytes::from_static(b"1"))] }
}

#[tokio::test]
async fn a_fetch_follows_its_leader() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Fetch, 0) => {
            let code = ResponseError::NotLeaderOrFollower.code();
            fetched(request, PartitionData::default().with_error_code(code))
        }
        (ApiKey::Fetch, _) => {
            let data = PartitionData::default()
                .with_records(Some(batch(10, None, &["a", "b", "c"])))
                .with_high_watermark(13)
                .with_last_stable_offset(13)
                .with_log_start_offset(2);
            fetched(request, data)
        }
        _ => request.standard(),
    })
    .await;
    let read = broker.client().fetch(&range(11)).await.unwrap();
    let values: Vec<_> = read.records.iter().map(|record| record.value.clone().unwrap()).collect();
    assert_eq!(values, ["b", "c"]);
    assert_eq!((read.next_offset, read.last_epoch, read.append_time), (13, 3, false));
    assert_eq!((read.log_start, read.high_watermark, read.last_stable), (2, 13, 13));
    assert_eq!((broker.count(ApiKey::Fetch), broker.count(ApiKey::Metadata)), (2, 2));
}

#[tokio::test]
async fn aborted_records_are_passed_over() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Fetch => {
            let bytes = [batch(0, Some(1), &["aborted"]), batch(1, Some(2), &["kept"])].concat();
            let aborted = AbortedTransaction::default().with_producer_id(1.into()).with_first_offset(0);
            let data = PartitionData::default()
                .with_records(Some(bytes.into()))
                .with_aborted_transactions(Some(vec![aborted]));
            fetched(request, data)
        }
        _ => request.standard(),
    })
    .await;
    let read = broker.client().fetch(&range(0)).await.unwrap();
    let offsets: Vec<_> = read.records.iter().map(|record| record.offset).collect();
    assert_eq!((offsets, read.next_offset), (vec![1], 2));
}

#[tokio::test]
async fn an_empty_fetch_stays_where_it_is() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Fetch => fetched(request, PartitionData::default().with_records(None)),
        _ => request.standard(),
    })
    .await;
    let read = broker.client().fetch(&range(42)).await.unwrap();
    assert_eq!((read.records.len(), read.next_offset, read.last_epoch), (0, 42, -1));
}

/// A quota that is used up empties the whole answer (KIP-219).
#[tokio::test]
async fn a_fetch_that_a_quota_emptied_is_asked_again() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Fetch, 0) => request.answer(FetchResponse::default().with_throttle_time_ms(20)),
        (ApiKey::Fetch, _) => {
            fetched(request, PartitionData::default().with_records(Some(batch(10, None, &["a"]))))
        }
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    assert_eq!(wire.fetch(&range(10)).await.unwrap().records.len(), 1);
    assert_eq!(broker.count(ApiKey::Fetch), 2);
    assert_eq!(wire.throttled(), BTreeMap::from([("Fetch", Duration::from_millis(20))]));
}

#[tokio::test]
async fn a_damaged_batch_is_told_with_its_place() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Fetch => {
            let mut bytes = batch(10, None, &["a"]).to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            fetched(request, PartitionData::default().with_records(Some(bytes.into())))
        }
        _ => request.standard(),
    })
    .await;
    let error = broker.client().fetch(&range(10)).await.unwrap_err();
    assert!(matches!(error.kind(), WireErrorKind::Batch(text) if text.contains("10")), "{error}");
    assert!(error.to_string().contains("orders-0"), "{error}");
}

#[tokio::test]
async fn an_offset_out_of_range_is_the_callers_business() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Fetch => {
            let code = ResponseError::OffsetOutOfRange.code();
            fetched(request, PartitionData::default().with_error_code(code))
        }
        _ => request.standard(),
    })
    .await;
    let error = broker.client().fetch(&range(10)).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::OffsetOutOfRange));
    assert_eq!(broker.count(ApiKey::Fetch), 1);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn a_fetch_that_waits_does_not_hold_up_other_calls() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Fetch => Reply::Silence,
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let waiting = tokio::spawn({
        let wire = wire.clone();
        async move { wire.fetch(&range(0)).await }
    });
    broker.saw(ApiKey::Fetch, 1).await;
    wire.metadata(Some(&[])).await.unwrap();
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn a_write_is_repeated_where_nothing_was_written() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Produce, 0) => produced(request, ResponseError::NotLeaderOrFollower.code(), -1),
        (ApiKey::Produce, 1) => produced(request, ResponseError::NotEnoughReplicas.code(), -1),
        (ApiKey::Produce, _) => {
            let asked: ProduceRequest = request.decode();
            let bytes = asked.topic_data[0].partition_data[0].records.clone().unwrap();
            let batches: Vec<_> = split(bytes).collect::<Result<_, _>>().unwrap();
            assert_eq!(batches.len(), 1);
            let records = batches[0].records().unwrap();
            assert_eq!((records[0].timestamp_ms, records[0].headers[0].key.as_ref()), (5, &b"h"[..]));
            produced(request, 0, 77)
        }
        _ => request.standard(),
    })
    .await;
    let written = broker.client().produce(&place("orders"), &[record()], Codec::Zstd).await.unwrap();
    assert_eq!(written, Produced { base_offset: 77, log_append_time_ms: -1 });
    assert_eq!(broker.count(ApiKey::Produce), 3);
}

#[tokio::test]
async fn a_write_without_a_clear_outcome_is_never_repeated() {
    let lost_leader = (ResponseError::NotLeaderOrFollower.code(), 12);
    let timed_out = (ResponseError::RequestTimedOut.code(), -1);
    for (code, base_offset) in [lost_leader, timed_out] {
        let broker = Scripted::start(move |request| match request.api {
            ApiKey::Produce => produced(request, code, base_offset),
            _ => request.standard(),
        })
        .await;
        let error = broker.client().produce(&place("orders"), &[record()], Codec::None).await.unwrap_err();
        assert!(error.is_outcome_unknown(), "{error}");
        assert_eq!(broker.count(ApiKey::Produce), 1);
    }
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Produce => Reply::Close,
        _ => request.standard(),
    })
    .await;
    let error = broker.client().produce(&place("orders"), &[record()], Codec::None).await.unwrap_err();
    assert!(error.is_outcome_unknown() && error.is_unreachable(), "{error}");
    assert_eq!(broker.count(ApiKey::Produce), 1);
}

#[tokio::test]
async fn a_write_that_is_refused_was_not_carried_out() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Produce => produced(request, ResponseError::MessageTooLarge.code(), -1),
        _ => request.standard(),
    })
    .await;
    let error = broker.client().produce(&place("orders"), &[record()], Codec::None).await.unwrap_err();
    assert!(!error.is_outcome_unknown() && !error.is_retriable(), "{error}");
    assert_eq!(error.code(), Some(ResponseError::MessageTooLarge));
}

#[tokio::test]
async fn nothing_to_write_is_an_error_without_a_request() {
    let broker = Scripted::start(|request| request.standard()).await;
    let error = broker.client().produce(&place("orders"), &[], Codec::None).await.unwrap_err();
    assert!(matches!(error.kind(), WireErrorKind::Batch(_)), "{error}");
    assert_eq!(broker.count(ApiKey::Produce), 0);
}
