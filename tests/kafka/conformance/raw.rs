//! Plain frames over a connection of one's own.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use mirrormesh::batch::BatchBuilder;
use mirrormesh::model::Codec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// A connection.
pub(super) struct Raw {
    stream: TcpStream,
    correlation: i32,
}

impl Raw {
    pub(super) async fn connect(bootstrap: &str) -> Self {
        let address = bootstrap.split(',').next().unwrap();
        Self { stream: TcpStream::connect(address).await.unwrap(), correlation: 0 }
    }

    /// Sends a request and reads its answer.
    pub(super) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.answer::<R>(version).await
    }

    /// Sends a request.
    pub(super) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        self.send_bytes((R::KEY, version), R::header_version(version), &body).await;
    }

    /// Reads the answer to the last request.
    pub(super) async fn answer<R: Request>(&mut self, version: i16) -> R::Response {
        let mut body = self.frame().await.expect("an answer");
        let header = ResponseHeader::decode(&mut body, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation);
        let answer = R::Response::decode(&mut body, version).unwrap();
        assert!(body.is_empty(), "{} bytes follow the answer", body.len());
        answer
    }

    /// Sends a request of whatever call and version.
    pub(super) async fn send_bytes(&mut self, (api, version): (i16, i16), header_version: i16, body: &[u8]) {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("conformance")));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        header.encode(&mut frame, header_version).unwrap();
        frame.extend_from_slice(body);
        let length = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next answer without its length; `None` when the broker has hung up.
    pub(super) async fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await.ok()?;
        let mut body = BytesMut::zeroed((&length[..]).get_u32() as usize);
        self.stream.read_exact(&mut body).await.ok()?;
        Some(body.freeze())
    }
}

/// Text as the protocol has it.
pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// An id that no topic has.
pub(super) fn no_id() -> Uuid {
    Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef)
}

/// A batch of records with these values, at time 1,000.
pub(super) fn batch(values: &[&str]) -> Bytes {
    filled(BatchBuilder::new(Codec::None), values)
}

/// The same, in a batch begun elsewhere.
pub(super) fn filled(mut batch: BatchBuilder, values: &[&str]) -> Bytes {
    for value in values {
        batch.push(1_000, Some(b"key"), Some(value.as_bytes()), &[]);
    }
    batch.build().unwrap()
}
