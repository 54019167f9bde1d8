//! Requests as they came, and what a test may answer in the brokers' place.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

/// A request as a broker got it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    /// How many of this call came before, at all brokers and on all connections.
    pub(crate) nth: usize,
    /// The broker that got it.
    pub(crate) broker: i32,
    /// Where that broker listens.
    pub(crate) address: SocketAddr,
    pub(crate) client_id: String,
    pub(crate) correlation: i32,
    pub(super) body: Bytes,
}

/// What becomes of a request that a test has caught.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these bytes, length included.
    Bytes(Bytes),
    /// Sends these bytes once the next request is there.
    AfterNext(Bytes),
    /// Says nothing.
    Silence,
    /// Closes the connection.
    Close,
    /// Carries the request out, and closes the connection instead of answering.
    Lose,
}

impl Request {
    /// The request itself.
    pub(crate) fn decode<R: Decodable>(&self) -> R {
        self.try_decode().expect("the request can be decoded")
    }

    /// The request itself, unless its bytes are no such request.
    pub(super) fn try_decode<R: Decodable>(&self) -> Option<R> {
        R::decode(&mut self.body.clone(), self.version).ok()
    }

    /// Whether a name is somewhere in it.
    pub(super) fn names(&self, name: &str) -> bool {
        self.body.windows(name.len().max(1)).any(|part| part == name.as_bytes())
    }

    /// An answer to it, framed.
    pub(crate) fn frame<A: Encodable + HeaderVersion>(&self, answer: &A) -> Bytes {
        self.frame_in(self.version, self.correlation, answer)
    }

    /// An answer in another version, or to another request.
    pub(crate) fn frame_in<A: Encodable + HeaderVersion>(
        &self,
        version: i16,
        correlation: i32,
        answer: &A,
    ) -> Bytes {
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        let header = ResponseHeader::default().with_correlation_id(correlation);
        header.encode(&mut frame, A::header_version(version)).expect("the header can be encoded");
        answer.encode(&mut frame, version).expect("the answer can be encoded");
        let length = u32::try_from(frame.len() - size_of::<u32>()).expect("an answer is short");
        frame[..size_of::<u32>()].copy_from_slice(&length.to_be_bytes());
        frame.freeze()
    }

    /// Answers it.
    pub(crate) fn answer<A: Encodable + HeaderVersion>(&self, answer: A) -> Reply {
        Reply::Bytes(self.frame(&answer))
    }
}
