//! A consumer that talks to exactly one address, whatever that advertises, and looks into no batch.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::FetchResponse;
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use mirrormesh::batch::split;

/// The last version that names topics by name.
const VERSION: i16 = 12;
/// As much of each partition and answer as a mirror would ask for.
const PARTITION_BYTES: i32 = 1 << 20;
const ANSWER_BYTES: i32 = 16 << 20;

/// Reads every partition from 0 to its end; returns how many bytes of batches came.
pub fn read_all(address: &str, topic: &str, partitions: i32) -> io::Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let count = usize::try_from(partitions).expect("there are partitions");
    let (mut next, mut ends) = (vec![0i64; count], vec![i64::MAX; count]);
    let mut bytes = 0;
    loop {
        let open: Vec<usize> = (0..count).filter(|&partition| next[partition] < ends[partition]).collect();
        if open.is_empty() {
            return Ok(bytes);
        }
        let answer = ask(&mut stream, topic, &open, &next)?;
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            if data.error_code != 0 {
                return Err(io::Error::other(format!(
                    "{topic}: the broker answers error {}",
                    data.error_code
                )));
            }
            let partition = usize::try_from(data.partition_index).expect("a partition we asked for");
            ends[partition] = data.high_watermark;
            for batch in split(data.records.unwrap_or_default()) {
                let batch = batch.map_err(io::Error::other)?;
                bytes += batch.bytes().len() as u64;
                next[partition] = batch.header().next_offset();
            }
        }
    }
}

fn ask(stream: &mut TcpStream, topic: &str, open: &[usize], next: &[i64]) -> io::Result<FetchResponse> {
    let partition = |&partition: &usize| {
        FetchPartition::default()
            .with_partition(i32::try_from(partition).expect("a partition index"))
            .with_fetch_offset(next[partition])
            .with_partition_max_bytes(PARTITION_BYTES)
    };
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(open.iter().map(partition).collect());
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(ANSWER_BYTES)
        .with_topics(vec![topic]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Fetch as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("bench")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, ApiKey::Fetch.request_header_version(VERSION)).map_err(io::Error::other)?;
    request.encode(&mut frame, VERSION).map_err(io::Error::other)?;
    stream.write_all(&u32::try_from(frame.len()).expect("a small request").to_be_bytes())?;
    stream.write_all(&frame)?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    let mut answer = Bytes::from(answer);
    let version = ApiKey::Fetch.response_header_version(VERSION);
    ResponseHeader::decode(&mut answer, version).map_err(io::Error::other)?;
    FetchResponse::decode(&mut answer, VERSION).map_err(io::Error::other)
}
