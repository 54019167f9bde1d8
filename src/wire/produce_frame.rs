//! Produce requests whose batches are not copied: small pieces of our own between the bodies, where they are.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use super::chunks::Chunks;
use super::encoding::{self, request_header};
use super::produce::ACKS_ALL;
use crate::model::TopicName;

/// From this version on lengths are varints and structures end with tagged fields (KIP-482).
const FLEXIBLE_SINCE: i16 = 9;

/// Batches to be written by one request: acknowledged by all in-sync replicas, without a transaction.
#[derive(Clone, Debug, Default)]
pub struct ProduceParts {
    /// One batch per partition, which is as much as brokers take; each topic and partition is named once.
    pub topics: Vec<(TopicName, Vec<PartitionPart>)>,
}

/// A batch for one partition, as a header of our making and a body that stays where it is.
#[derive(Clone, Debug)]
pub struct PartitionPart {
    /// The partition's index.
    pub index: i32,
    /// The batch's header.
    pub head: [u8; 61],
    /// What follows the header, in pieces.
    pub body: Vec<Bytes>,
}

impl PartitionPart {
    /// Length of the batch, header included.
    pub fn batch_bytes(&self) -> usize {
        self.head.len() + self.body.iter().map(Bytes::len).sum::<usize>()
    }
}

/// A request as a frame, length included. Fails if it is too long for Kafka's length fields.
pub(super) fn encode(
    parts: ProduceParts,
    timeout_ms: i32,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
) -> encoding::Result<Chunks> {
    let header = request_header::<ProduceRequest>(version, correlation, client_id);
    let header_version = ProduceRequest::header_version(version);
    let mut writer = Writer::new(version, &parts);
    // The frame's length, when it is known.
    writer.own.put_u32(0);
    header.encode(&mut writer.own, header_version)?;
    writer.null_text();
    writer.own.put_i16(ACKS_ALL);
    writer.own.put_i32(timeout_ms);
    writer.count(parts.topics.len())?;
    for (topic, partitions) in parts.topics {
        writer.text(topic.as_str())?;
        writer.count(partitions.len())?;
        for partition in partitions {
            writer.own.put_i32(partition.index);
            writer.length(partition.batch_bytes())?;
            writer.own.put_slice(&partition.head);
            writer.body(partition.body);
            writer.no_tags();
        }
        writer.no_tags();
    }
    writer.no_tags();
    writer.finish()
}

struct Writer {
    flexible: bool,
    /// All bytes of our own, in one piece of memory.
    own: BytesMut,
    /// Up to where in `own` each body is preceded.
    bodies: Vec<(usize, Vec<Bytes>)>,
    bodies_bytes: usize,
}

impl Writer {
    fn new(version: i16, parts: &ProduceParts) -> Self {
        let partitions: usize = parts.topics.iter().map(|(_, partitions)| partitions.len()).sum();
        let names: usize = parts.topics.iter().map(|(topic, _)| topic.as_str().len() + 12).sum();
        // Header, index, length and tags of a partition make 70 bytes; the request's header is short.
        let own = BytesMut::with_capacity(128 + names + 70 * partitions);
        let bodies = Vec::with_capacity(partitions);
        Self { flexible: version >= FLEXIBLE_SINCE, own, bodies, bodies_bytes: 0 }
    }

    /// A length or count of something that is not null.
    fn length(&mut self, length: usize) -> encoding::Result<()> {
        let length = i32::try_from(length)?;
        match self.flexible {
            true => self.varint(length.unsigned_abs() + 1),
            false => self.own.put_i32(length),
        }
        Ok(())
    }

    fn count(&mut self, count: usize) -> encoding::Result<()> {
        self.length(count)
    }

    fn text(&mut self, text: &str) -> encoding::Result<()> {
        let length = i16::try_from(text.len())?;
        match self.flexible {
            true => self.varint(u32::from(length.unsigned_abs()) + 1),
            false => self.own.put_i16(length),
        }
        self.own.put_slice(text.as_bytes());
        Ok(())
    }

    fn null_text(&mut self) {
        match self.flexible {
            true => self.varint(0),
            false => self.own.put_i16(-1),
        }
    }

    fn no_tags(&mut self) {
        if self.flexible {
            self.varint(0);
        }
    }

    /// Seven bits at a time, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.own.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.own.put_u8(value as u8);
    }

    fn body(&mut self, body: Vec<Bytes>) {
        self.bodies_bytes += body.iter().map(Bytes::len).sum::<usize>();
        self.bodies.push((self.own.len(), body));
    }

    fn finish(mut self) -> encoding::Result<Chunks> {
        let prefix = size_of::<u32>();
        let length = i32::try_from(self.own.len() - prefix + self.bodies_bytes)?;
        self.own[..prefix].copy_from_slice(&length.to_be_bytes());
        let own = self.own.freeze();
        let mut chunks = Chunks::default();
        let mut from = 0;
        for (to, body) in self.bodies {
            chunks.push(own.slice(from..to));
            body.into_iter().for_each(|piece| chunks.push(piece));
            from = to;
        }
        chunks.push(own.slice(from..));
        Ok(chunks)
    }
}
