//! Kafka's requests and answers in a proxied stream: counted, and where a test wants it, rewritten.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{ApiKey, BrokerId, MetadataResponse, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use parking_lot::Mutex;

/// Topics that an answer without brokers names beside those asked for: reading them takes librdkafka longer than its
/// brokers' threads take to end.
const FILLERS: usize = 5_000;

/// What passes a proxy, over all its connections.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: Mutex<BTreeMap<i16, u64>>,
    hides_brokers: AtomicBool,
    hidden: AtomicU64,
    answered_bytes: AtomicU64,
}

impl Traffic {
    /// Requests so far, by the number of their API.
    pub fn requests(&self) -> BTreeMap<i16, u64> {
        self.requests.lock().clone()
    }

    /// Whether librdkafka's clients are told of no broker from now on.
    pub fn hide_brokers(&self, hide: bool) {
        self.hides_brokers.store(hide, Ordering::SeqCst);
    }

    /// Bytes that came back so far.
    pub fn answered_bytes(&self) -> u64 {
        self.answered_bytes.load(Ordering::SeqCst)
    }

    /// Answers so far that named topics, and no broker any more.
    pub fn hidden(&self) -> u64 {
        self.hidden.load(Ordering::SeqCst)
    }
}

/// One connection: what its two directions know of each other.
#[derive(Debug, Default)]
struct Dialogue {
    traffic: Arc<Traffic>,
    /// Whether the client is librdkafka, which says so in its first request.
    rdkafka: AtomicBool,
    /// Metadata requests whose answers are to be rewritten: version by correlation id.
    asked: Mutex<HashMap<i32, i16>>,
}

/// Both directions of a new connection.
pub fn dialogue(traffic: Arc<Traffic>) -> (Requests, Answers) {
    let dialogue = Arc::new(Dialogue { traffic, ..Dialogue::default() });
    (Requests { dialogue: dialogue.clone(), head: Vec::new(), left: 0 }, Answers::new(dialogue))
}

/// What a client sends: a length of four bytes, then API and version in two each, then a correlation id in four.
#[derive(Debug)]
pub struct Requests {
    dialogue: Arc<Dialogue>,
    /// The beginning of the request that is passing, as far as it is wanted.
    head: Vec<u8>,
    /// Bytes of it that are still to pass.
    left: usize,
}

impl Requests {
    /// Looks at what passes, and passes it on as it is.
    pub fn pass(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole;
        while !bytes.is_empty() {
            skip(&mut bytes, &mut self.left);
            let length = self.head.first_chunk().map_or(0, |length| length_of(*length));
            let api = self.head.get(4..6).map(|api| i16::from_be_bytes([api[0], api[1]]));
            // Who the client is stands in the body.
            let wanted = if api == Some(ApiKey::ApiVersions as i16) { (4 + length).max(12) } else { 12 };
            let taken = wanted.saturating_sub(self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.head.len() >= 12 {
                self.seen();
            }
        }
        whole.to_vec()
    }

    /// Takes note of a request once enough of it is there.
    fn seen(&mut self) {
        let [a, b, c, d, high, low, version_high, version_low, rest @ ..] = self.head.as_slice() else {
            return;
        };
        let (length, api) = (length_of([*a, *b, *c, *d]), i16::from_be_bytes([*high, *low]));
        if api == ApiKey::ApiVersions as i16 {
            if self.head.len() < 4 + length {
                return;
            }
            if self.head.windows(7).any(|part| part == b"rdkafka") {
                self.dialogue.rdkafka.store(true, Ordering::SeqCst);
            }
        }
        let hides = self.dialogue.traffic.hides_brokers.load(Ordering::SeqCst);
        if api == ApiKey::Metadata as i16 && hides && self.dialogue.rdkafka.load(Ordering::SeqCst) {
            let correlation = rest.first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
            let version = i16::from_be_bytes([*version_high, *version_low]);
            self.dialogue.asked.lock().insert(correlation, version);
        }
        *self.dialogue.traffic.requests.lock().entry(api).or_default() += 1;
        self.left = (4 + length).saturating_sub(self.head.len());
        self.head.clear();
    }
}

/// What a broker answers: a length of four bytes, then the correlation id of the request in four.
#[derive(Debug)]
pub struct Answers {
    dialogue: Arc<Dialogue>,
    /// The beginning of the answer that is passing, until it is known which it is.
    head: Vec<u8>,
    /// Whether it waits for that, since it may be one to rewrite.
    held: bool,
    /// Bytes of it that are still to pass.
    left: usize,
    /// All of one that is to be rewritten so far, and its version.
    kept: Option<(Vec<u8>, i16)>,
}

impl Answers {
    fn new(dialogue: Arc<Dialogue>) -> Self {
        Self { dialogue, head: Vec::new(), held: false, left: 0, kept: None }
    }

    /// Takes what came, and returns what goes on.
    pub fn pass(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        self.dialogue.traffic.answered_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        let mut passed = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            let body = skip(&mut bytes, &mut self.left);
            match &mut self.kept {
                Some((kept, _)) => kept.extend_from_slice(body),
                None => passed.extend_from_slice(body),
            }
            if self.left > 0 {
                break;
            }
            if let Some((answer, version)) = self.kept.take() {
                passed.extend(self.without_brokers(&answer, version));
            }
            if self.head.is_empty() {
                self.held = !self.dialogue.asked.lock().is_empty();
            }
            let taken = (8 - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..taken]);
            if !self.held {
                passed.extend_from_slice(&bytes[..taken]);
            }
            bytes = &bytes[taken..];
            if let [a, b, c, d, id @ ..] = self.head.as_slice()
                && let Ok(id) = id.try_into()
            {
                self.left = length_of([*a, *b, *c, *d]).saturating_sub(4);
                let head = std::mem::take(&mut self.head);
                let asked = self.dialogue.asked.lock().remove(&i32::from_be_bytes(id)).filter(|_| self.held);
                match asked {
                    Some(version) => self.kept = Some((head, version)),
                    None if self.held => passed.extend(head),
                    None => {}
                }
            }
        }
        passed
    }

    /// The answer of a cluster whose brokers are all fenced: topics without leaders, and nobody to ask.
    ///
    /// librdkafka survives it if the threads of the brokers it drops end after it has read the answer to its end, else
    /// never. What many topics do to it in life the fillers do here, so that it is no matter of chance.
    fn without_brokers(&self, answer: &[u8], version: i16) -> BytesMut {
        let mut rest = Bytes::copy_from_slice(&answer[4..]);
        let header_version = ApiKey::Metadata.response_header_version(version);
        let header =
            ResponseHeader::decode(&mut rest, header_version).expect("a broker's header can be read");
        let mut metadata =
            MetadataResponse::decode(&mut rest, version).expect("a broker's answer can be read");
        metadata.brokers.clear();
        metadata.controller_id = BrokerId(-1);
        for partition in metadata.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.leader_id = BrokerId(-1);
            partition.error_code = ResponseError::LeaderNotAvailable.code();
        }
        let named = !metadata.topics.is_empty();
        if named {
            metadata.topics.extend((0..FILLERS).map(|number| {
                let name = TopicName(StrBytes::from_string(format!("filler-{number}")));
                MetadataResponseTopic::default().with_name(Some(name))
            }));
        }
        let mut body = BytesMut::new();
        header.encode(&mut body, header_version).expect("the header can be written again");
        metadata.encode(&mut body, version).expect("the answer can be written again");
        let mut frame = BytesMut::with_capacity(4 + body.len());
        frame.put_i32(i32::try_from(body.len()).expect("an answer of some kilobytes"));
        frame.extend_from_slice(&body);
        if named {
            self.dialogue.traffic.hidden.fetch_add(1, Ordering::SeqCst);
        }
        frame
    }
}

/// Takes up to `left` bytes off the front.
fn skip<'a>(bytes: &mut &'a [u8], left: &mut usize) -> &'a [u8] {
    let (skipped, rest) = bytes.split_at((*left).min(bytes.len()));
    *left -= skipped.len();
    *bytes = rest;
    skipped
}

fn length_of(prefix: [u8; 4]) -> usize {
    usize::try_from(i32::from_be_bytes(prefix)).unwrap_or(0)
}
