//! A link over a pipe in memory, on a clock that jumps to the next timer: limits, throttling, and what was sent.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::FetchableTopicResponse;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion, decode_request_header_from_buffer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::*;
use crate::wire::call::Offered;
use crate::wire::frame::FrameReader;
use crate::wire::testing::offers;
use crate::wire::{PartitionPart, WireErrorKind};

const LIMIT: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// The broker's end of the pipe.
struct LinkBroker {
    stream: DuplexStream,
    frames: FrameReader,
}

impl LinkBroker {
    async fn next(&mut self) -> (RequestHeader, Bytes) {
        let mut frame = self.frames.read(&mut self.stream, || {}).await.unwrap();
        (decode_request_header_from_buffer(&mut frame).unwrap(), frame)
    }

    async fn answer<A: Encodable + HeaderVersion>(&mut self, request: &RequestHeader, answer: &A) {
        self.stream.write_all(&frame(request, answer)).await.unwrap();
    }
}

fn frame<A: Encodable + HeaderVersion>(request: &RequestHeader, answer: &A) -> BytesMut {
    let version = request.request_api_version;
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    let header = ResponseHeader::default().with_correlation_id(request.correlation_id);
    header.encode(&mut frame, A::header_version(version)).unwrap();
    answer.encode(&mut frame, version).unwrap();
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// A link over a pipe that holds so many bytes.
fn link(pipe_bytes: usize) -> (Link, LinkBroker) {
    let (ours, stream) = duplex(pipe_bytes);
    let mut connection = Connection::start(
        "east".into(),
        "broker:1".into(),
        "mesh",
        Box::new(ours),
        Default::default(),
        Default::default(),
    );
    connection.set_offered(Offered::new(&offers(&[])));
    (
        Link { connection, broker: 1, limit: LIMIT },
        LinkBroker { stream, frames: FrameReader::new(Default::default()) },
    )
}

fn parts(body: &'static [u8]) -> ProduceParts {
    let part = PartitionPart { index: 0, head: [1; 61], body: vec![Bytes::from_static(body)] };
    ProduceParts { topics: vec![("orders".into(), vec![part])] }
}

fn throttled(time: Duration) -> ProduceResponse {
    ProduceResponse::default().with_throttle_time_ms(i32::try_from(time.as_millis()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn requests_wait_while_the_broker_throttles_and_that_is_no_fault() {
    let (link, mut broker) = link(1 << 16);
    let quiet = LIMIT * 5;
    let started = Instant::now();
    let (first, second) =
        (link.produce(parts(b"1")).await.unwrap(), link.produce(parts(b"2")).await.unwrap());
    let (request, _) = broker.next().await;
    let (pipelined, _) = broker.next().await;
    broker.answer(&request, &throttled(quiet)).await;
    assert_eq!(first.answer().await.unwrap().throttle_time_ms, 50_000);
    assert_eq!(link.throttled_until(), Some(started + quiet));
    let third = link.produce(parts(b"3")).await.unwrap();
    let fetch = link.fetch(SECOND, |_| FetchRequest::default());
    let answers = async {
        // Brokers read nothing of ours meanwhile: what they have is answered late.
        sleep(quiet + LIMIT - SECOND).await;
        broker.answer(&pipelined, &throttled(Duration::ZERO)).await;
        let (request, _) = broker.next().await;
        broker.answer(&request, &throttled(Duration::ZERO)).await;
        let (request, _) = broker.next().await;
        broker.answer(&request, &FetchResponse::default()).await;
    };
    let (second, third, fetched, ()) = tokio::join!(second.answer(), third.answer(), fetch, answers);
    second.unwrap();
    third.unwrap();
    fetched.unwrap();
    assert_eq!(link.throttled_until(), None);
    assert!(link.is_usable());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_the_quiet_time_is_over() {
    let (link, mut broker) = link(1 << 16);
    let first = link.produce(parts(b"1")).await.unwrap();
    let (request, _) = broker.next().await;
    broker.answer(&request, &throttled(3 * LIMIT)).await;
    first.answer().await.unwrap();
    let until = link.throttled_until().unwrap();
    let _second = link.produce(parts(b"2")).await.unwrap();
    let (request, _) = broker.next().await;
    assert_eq!(ApiKey::try_from(request.request_api_key), Ok(ApiKey::Produce));
    assert!(Instant::now() >= until);
}

#[tokio::test(start_paused = true)]
async fn the_limit_counts_from_when_a_requests_turn_has_come() {
    let (link, mut broker) = link(1 << 16);
    let mut pending = Vec::new();
    for _ in 0..4 {
        pending.push(link.produce(parts(b"x")).await.unwrap());
    }
    let mut pending = pending.into_iter();
    for _ in 0..2 {
        let (request, _) = broker.next().await;
        sleep(LIMIT - SECOND).await;
        broker.answer(&request, &ProduceResponse::default()).await;
        pending.next().unwrap().answer().await.unwrap();
    }
    let stays_out = Instant::now();
    for pending in pending {
        let error = pending.answer().await.unwrap_err();
        assert_eq!(error.kind(), &WireErrorKind::Timeout(LIMIT));
        assert!(error.may_have_been_sent() && error.is_unreachable(), "{error}");
        assert_eq!(stays_out.elapsed(), LIMIT);
    }
    assert!(!link.is_usable());
    let error = link.produce(parts(b"x")).await.err().unwrap();
    assert!(!error.may_have_been_sent() && error.to_string().contains("broker:1, Produce"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_may_take_what_it_asked_the_broker_to_wait_beside_the_limit() {
    let (link, mut broker) = link(1 << 16);
    let wait = 2 * LIMIT;
    let answers = async {
        let (request, _) = broker.next().await;
        sleep(wait + LIMIT - SECOND).await;
        let topic =
            FetchableTopicResponse::default().with_topic(crate::wire::names::kafka_topic(&"a".into()));
        broker.answer(&request, &FetchResponse::default().with_responses(vec![topic])).await;
        broker.next().await
    };
    let fetches = async {
        let (version, answer) = link.fetch(wait, |_| FetchRequest::default()).await.unwrap();
        assert_eq!((version, answer.responses.len()), (12, 1));
        link.fetch(wait, |_| FetchRequest::default()).await.unwrap_err()
    };
    let (error, _) = tokio::join!(fetches, answers);
    assert_eq!(error.kind(), &WireErrorKind::Timeout(wait + LIMIT));
}

#[tokio::test(start_paused = true)]
async fn a_slow_network_is_not_taken_for_a_dead_one() {
    let (link, mut broker) = link(1024);
    let body: &[u8] = &[7; 10_000];
    let pending = link.produce(parts(body)).await.unwrap();
    // What is read here at last was written a pause before.
    let pause = LIMIT / 2 - SECOND;
    // Both the request and the answer take several times the limit, in pieces.
    let mut bytes = Vec::new();
    while bytes.len() < body.len() {
        sleep(pause).await;
        let mut piece = [0; 1024];
        let length = broker.stream.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..length]);
    }
    let error_message = Some(crate::wire::names::text(&"x".repeat(10_000)));
    let partition = PartitionProduceResponse::default().with_error_message(error_message);
    let topic = TopicProduceResponse::default().with_partition_responses(vec![partition]);
    // The first request of a connection has number 0.
    let request = RequestHeader::default().with_request_api_version(12);
    let answer = frame(&request, &ProduceResponse::default().with_responses(vec![topic]));
    for piece in answer.chunks(1024) {
        sleep(pause).await;
        broker.stream.write_all(piece).await.unwrap();
    }
    assert_eq!(pending.answer().await.unwrap().responses.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_was_not_sent() {
    // The first request fills the pipe, and nobody reads.
    let (link, broker) = link(64);
    let first = link.produce(parts(b"1")).await.unwrap();
    let second = link.produce(parts(b"2")).await.unwrap();
    sleep(SECOND).await;
    drop(broker);
    assert!(first.answer().await.unwrap_err().may_have_been_sent());
    let error = second.answer().await.unwrap_err();
    assert!(!error.may_have_been_sent(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_reads_is_noticed() {
    let (link, _broker) = link(64);
    let pending = link.produce(parts(b"1")).await.unwrap();
    let error = pending.answer().await.unwrap_err();
    assert_eq!(error.kind(), &WireErrorKind::Timeout(LIMIT));
}

#[tokio::test(start_paused = true)]
async fn waiters_that_give_up_leave_the_link_in_order() {
    let (link, mut broker) = link(1 << 16);
    drop(link.produce(parts(b"1")).await.unwrap());
    let kept = link.produce(parts(b"2")).await.unwrap();
    let given_up = tokio::time::timeout(SECOND, link.fetch(SECOND, |_| FetchRequest::default())).await;
    assert!(given_up.is_err());
    for _ in 0..2 {
        let (request, body) = broker.next().await;
        let offset = i32::from(body.ends_with(b"2\0\0\0"));
        broker.answer(&request, &ProduceResponse::default().with_throttle_time_ms(offset)).await;
    }
    assert_eq!(kept.answer().await.unwrap().throttle_time_ms, 1);
    let (request, _) = broker.next().await;
    broker.answer(&request, &FetchResponse::default()).await;
    let answers = async {
        let (request, _) = broker.next().await;
        broker.answer(&request, &FetchResponse::default().with_session_id(9)).await;
    };
    let (fetched, ()) = tokio::join!(link.fetch(SECOND, |_| FetchRequest::default()), answers);
    assert_eq!(fetched.unwrap().1.session_id, 9);
}

#[tokio::test(start_paused = true)]
async fn closing_fails_what_is_pending() {
    let (link, mut broker) = link(1 << 16);
    let pending = link.produce(parts(b"1")).await.unwrap();
    broker.next().await;
    link.close();
    let error = pending.answer().await.unwrap_err();
    assert!(error.kind() == &WireErrorKind::Closed && error.may_have_been_sent(), "{error}");
    assert!(!link.is_usable());
}
