//! Records that no client library writes: a batch of our own making, in a request of our own.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use mirrormesh::batch::{BatchBuilder, Record};
use mirrormesh::model::{Codec, Isolation, TopicPartition};
use mirrormesh::wire::{FetchRange, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::flow::settings;
use crate::common::KafkaClient;

/// Produce version: the last one without compact encodings and topic ids.
const PRODUCE: i16 = 8;

/// A record as bytes.
pub struct RawRecord {
    pub timestamp_ms: i64,
    pub value: &'static [u8],
    pub headers: Vec<(&'static [u8], Option<&'static [u8]>)>,
}

/// Writes one batch to partition 0 of a topic, through the only broker of the cluster.
pub async fn produce(client: &KafkaClient, topic: &str, records: &[RawRecord]) {
    let mut batch = BatchBuilder::new(Codec::None);
    for record in records {
        batch.push(record.timestamp_ms, None, Some(record.value), &record.headers);
    }
    let data = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(batch.build().expect("the batch is small")));
    let topic_data = TopicProduceData::default()
        .with_name(StrBytes::from_string(topic.to_owned()).into())
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic_data]);

    let mut frame = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(PRODUCE)
        .encode(&mut frame, ApiKey::Produce.request_header_version(PRODUCE))
        .expect("a header can be encoded");
    request.encode(&mut frame, PRODUCE).expect("the request can be encoded");
    let mut stream = TcpStream::connect(client.bootstrap()).await.expect("the broker listens");
    let mut length = BytesMut::new();
    length.put_u32(u32::try_from(frame.len()).expect("the request is small"));
    stream.write_all(&length).await.expect("the broker reads");
    stream.write_all(&frame).await.expect("the broker reads");
    let length = stream.read_u32().await.expect("the broker answers");
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.expect("the broker answers");
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, ApiKey::Produce.response_header_version(PRODUCE)).expect("a header");
    let response = ProduceResponse::decode(&mut answer, PRODUCE).expect("an answer to a produce request");
    assert!(!answer.has_remaining());
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "{response:?}");
}

/// Reads partition 0 of a topic as it is stored.
pub async fn read(client: &KafkaClient, topic: &str) -> Vec<Record> {
    let wire = Wire::new("west".into(), &settings(client)).expect("the settings are sound");
    let range = FetchRange {
        partition: TopicPartition::new(topic, 0),
        offset: 0,
        max_bytes: 10 << 20,
        isolation: Isolation::ReadCommitted,
        max_wait: std::time::Duration::from_secs(1),
    };
    wire.fetch(&range).await.expect("the topic can be read").records
}
