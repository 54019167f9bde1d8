//! Kafka's requests in a proxied stream: counted by their API, and known by the client that sends them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kafka_protocol::messages::ApiKey;
use parking_lot::Mutex;

/// What passes a proxy, over all its connections.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: Mutex<BTreeMap<i16, u64>>,
    turns_rdkafka_away: AtomicBool,
    turned_away: AtomicU64,
    answered_bytes: AtomicU64,
}

impl Traffic {
    /// Requests so far, by the number of their API.
    pub fn requests(&self) -> BTreeMap<i16, u64> {
        self.requests.lock().clone()
    }

    /// Whether connections of librdkafka's clients are closed from now on.
    pub fn turn_rdkafka_away(&self, away: bool) {
        self.turns_rdkafka_away.store(away, Ordering::SeqCst);
    }

    /// Connections closed so far because librdkafka's clients are turned away.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::SeqCst)
    }

    /// Bytes that came back so far.
    pub fn answered_bytes(&self) -> u64 {
        self.answered_bytes.load(Ordering::SeqCst)
    }

    /// Takes note of what a broker answered.
    pub fn answered(&self, bytes: &[u8]) {
        self.answered_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    }
}

/// What a client sends over a connection: a length of four bytes, then API and version in two each, then a
/// correlation id in four.
#[derive(Debug)]
pub struct Requests {
    traffic: Arc<Traffic>,
    /// Whether the client is librdkafka, which says so in its first request.
    rdkafka: bool,
    /// The beginning of the request that is passing, as far as it is wanted.
    head: Vec<u8>,
    /// Bytes of it that are still to pass.
    left: usize,
}

impl Requests {
    /// Those of a new connection.
    pub fn new(traffic: Arc<Traffic>) -> Self {
        Self { traffic, rdkafka: false, head: Vec::new(), left: 0 }
    }

    /// Looks at what is about to pass; false when the connection is to be closed instead.
    pub fn pass(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            bytes = &bytes[skipped..];
            self.left -= skipped;
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
        let away = self.rdkafka && self.traffic.turns_rdkafka_away.load(Ordering::SeqCst);
        if away {
            self.traffic.turned_away.fetch_add(1, Ordering::SeqCst);
        }
        !away
    }

    /// Takes note of a request once enough of it is there.
    fn seen(&mut self) {
        let [a, b, c, d, high, low, ..] = self.head.as_slice() else { return };
        let (length, api) = (length_of([*a, *b, *c, *d]), i16::from_be_bytes([*high, *low]));
        if api == ApiKey::ApiVersions as i16 {
            if self.head.len() < 4 + length {
                return;
            }
            self.rdkafka |= self.head.windows(7).any(|part| part == b"rdkafka");
        }
        *self.traffic.requests.lock().entry(api).or_default() += 1;
        self.left = (4 + length).saturating_sub(self.head.len());
        self.head.clear();
    }
}

fn length_of(prefix: [u8; 4]) -> usize {
    usize::try_from(i32::from_be_bytes(prefix)).unwrap_or(0)
}
