//! Links to scripted brokers: dialling, order, loss.

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, FetchRequest, FetchResponse, MetadataResponse, ProduceRequest, ProduceResponse,
};
use std::time::Duration;

use crate::wire::testing::{Reply, Request, Scripted, nobody, offers};
use crate::wire::{PartitionPart, ProduceParts, WireErrorKind};

fn parts(n: u8) -> ProduceParts {
    let body = vec![Bytes::from(vec![n; 10]), Bytes::from(vec![n + 100; 100_000])];
    let part = PartitionPart { index: 3, head: [n; 61], body };
    ProduceParts { topics: vec![("orders".into(), vec![part])] }
}

/// Answers with what the batch holds: its first byte as offset, its length as time.
fn produced(request: &Request) -> Bytes {
    let asked: ProduceRequest = request.decode();
    assert_eq!((asked.acks, asked.transactional_id, asked.timeout_ms), (-1, None, 8_000));
    let data = &asked.topic_data[0].partition_data[0];
    let batch = data.records.as_ref().unwrap();
    let expected = [vec![batch[0]; 71], vec![batch[0] + 100; 100_000]].concat();
    assert!(batch == &expected);
    let partition = PartitionProduceResponse::default()
        .with_index(data.index)
        .with_base_offset(batch[0].into())
        .with_log_append_time_ms(i64::try_from(batch.len()).unwrap());
    let topic = TopicProduceResponse::default()
        .with_name(asked.topic_data[0].name.clone())
        .with_partition_responses(vec![partition]);
    request.frame(&ProduceResponse::default().with_responses(vec![topic]))
}

#[tokio::test]
async fn many_writes_are_under_way_and_each_gets_its_answer() {
    const COUNT: u8 = 90;
    for version in [3, 8, 9, 12] {
        let broker = Scripted::start(move |request| match request.api {
            ApiKey::ApiVersions => request.answer(offers(&[(ApiKey::Produce, 0, version)])),
            // No answer before all requests are there.
            ApiKey::Produce if request.nth + 1 < usize::from(COUNT) => Reply::AfterNext(produced(request)),
            ApiKey::Produce => Reply::Bytes(produced(request)),
            _ => request.standard(),
        })
        .await;
        let link = broker.client().link(1).await.unwrap();
        assert_eq!((link.broker_id(), link.produce_version().unwrap()), (1, version));
        let mut pending = Vec::new();
        for n in 0..COUNT {
            pending.push(link.produce(parts(n)).await.unwrap());
        }
        for (n, pending) in (0..).zip(pending) {
            let answer = pending.answer().await.unwrap();
            let result = &answer.responses[0].partition_responses[0];
            assert_eq!((result.index, result.base_offset, result.log_append_time_ms), (3, n, 100_071));
        }
        assert!(link.is_usable());
        assert_eq!(broker.connections(), 2, "one for Metadata, and the link");
    }
}

#[tokio::test]
async fn a_lost_connection_fails_all_that_is_pending() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Produce, 2) => Reply::Close,
        (ApiKey::Produce, _) => Reply::Silence,
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let link = wire.link(1).await.unwrap();
    let mut pending = Vec::new();
    for n in 0..3 {
        pending.push(link.produce(parts(n)).await.unwrap());
    }
    for pending in pending {
        let error = pending.answer().await.unwrap_err();
        assert!(error.is_unreachable() && error.may_have_been_sent(), "{error}");
        assert!(error.to_string().contains(&format!("broker {}, Produce", broker.address())), "{error}");
    }
    assert!(!link.is_usable());
    let error = link.produce(parts(9)).await.err().unwrap();
    assert!(error.is_unreachable() && !error.may_have_been_sent(), "{error}");
    assert!(wire.link(1).await.unwrap().is_usable());
}

#[tokio::test]
async fn large_answers_are_read_into_memory_that_is_used_again() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Fetch => {
            let asked: FetchRequest = request.decode();
            let records: Vec<u8> = (0..300_000).map(|at| (at * 31 % 251) as u8 ^ request.nth as u8).collect();
            let data = PartitionData::default().with_records(Some(records.into()));
            let topic = FetchableTopicResponse::default().with_partitions(vec![data]);
            let answer = FetchResponse::default().with_session_id(asked.session_id + 1);
            request.answer(answer.with_responses(vec![topic]))
        }
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let link = wire.link(1).await.unwrap();
    let mut memory = Vec::new();
    for n in 0..4_u8 {
        let build = |version| {
            assert_eq!(version, 12);
            FetchRequest::default().with_session_id(40).with_session_epoch(7)
        };
        let (version, answer) = link.fetch(Duration::from_millis(10), build).await.unwrap();
        assert_eq!((version, answer.session_id), (12, 41));
        let records = answer.responses[0].partitions[0].records.clone().unwrap();
        drop(answer);
        assert!(
            records.len() == 300_000
                && records.iter().enumerate().all(|(at, byte)| *byte == (at * 31 % 251) as u8 ^ n)
        );
        assert!((300_000..400_000).contains(&wire.buffers_in_use_bytes()));
        memory.push(records.as_ptr());
        drop(records);
        assert_eq!(wire.buffers_in_use_bytes(), 0);
    }
    assert!(memory.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn where_a_broker_listens_is_asked_anew_after_a_failure() {
    let (_held, gone) = nobody();
    let broker = Scripted::start(move |request| match (request.api, request.nth) {
        (ApiKey::Metadata, 0) => {
            let mut answer: MetadataResponse = request.metadata();
            answer.brokers[0].port = gone.port().into();
            request.answer(answer)
        }
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let error = wire.link(1).await.err().unwrap();
    assert!(error.is_unreachable() && error.to_string().contains(&gone.to_string()), "{error}");
    assert_eq!(wire.link(1).await.unwrap().broker(), broker.address());
    let error = wire.link(2).await.err().unwrap();
    assert!(error.to_string().contains("broker 2 is not in the metadata"), "{error}");
    assert!(wire.reconnect_pause(1) < wire.reconnect_pause(4));
    wire.close().await;
    assert_eq!(wire.link(1).await.err().unwrap().kind(), &WireErrorKind::Closed);
}

#[tokio::test]
async fn a_broker_without_a_version_of_ours_is_told() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ApiVersions => request.answer(offers(&[(ApiKey::Produce, 13, 13), (ApiKey::Fetch, 13, 18)])),
        _ => request.standard(),
    })
    .await;
    let link = broker.client().link(1).await.unwrap();
    let error = link.produce(parts(1)).await.err().unwrap();
    assert!(error.is_unsupported() && !error.may_have_been_sent(), "{error}");
    assert!(link.fetch_version().unwrap_err().is_unsupported());
    assert!(link.fetch(Duration::ZERO, |_| FetchRequest::default()).await.unwrap_err().is_unsupported());
}
