//! Produce requests whose batches are not copied: small pieces of our own between the bodies, where they are.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use super::chunks::RequestPieces;
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
) -> encoding::Result<RequestPieces> {
    let header = request_header::<ProduceRequest>(version, correlation, client_id);
    let header_version = ProduceRequest::header_version(version);
    let mut writer = FrameWriter::new(version, &parts);
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

struct FrameWriter {
    flexible: bool,
    /// All bytes of our own, in one piece of memory.
    own: BytesMut,
    /// Up to where in `own` each body is preceded.
    bodies: Vec<(usize, Vec<Bytes>)>,
    bodies_bytes: usize,
}

impl FrameWriter {
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

    fn finish(mut self) -> encoding::Result<RequestPieces> {
        let prefix = size_of::<u32>();
        let length = i32::try_from(self.own.len() - prefix + self.bodies_bytes)?;
        self.own[..prefix].copy_from_slice(&length.to_be_bytes());
        let own = self.own.freeze();
        let mut chunks = RequestPieces::default();
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

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::call::Call;
    use crate::wire::names::{kafka_topic, text};

    const TIMEOUT_MS: i32 = 24_000;

    /// What the codec makes of the same request.
    fn by_codec(parts: &ProduceParts, version: i16) -> Bytes {
        let topics = parts.topics.iter().map(|(topic, partitions)| {
            let partitions = partitions.iter().map(|part| {
                let batch = [&part.head[..], &part.body.concat()].concat();
                PartitionProduceData::default().with_index(part.index).with_records(Some(batch.into()))
            });
            TopicProduceData::default()
                .with_name(kafka_topic(topic))
                .with_partition_data(partitions.collect())
        });
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_data(topics.collect());
        encoding::encode(&request, version, 77, &text("mesh")).unwrap()
    }

    fn by_hand(parts: &ProduceParts, version: i16) -> Bytes {
        let mut chunks = encode(parts.clone(), TIMEOUT_MS, version, 77, &text("mesh")).unwrap();
        let length = chunks.remaining();
        chunks.copy_to_bytes(length)
    }

    fn versions() -> std::ops::RangeInclusive<i16> {
        ProduceRequest::VERSIONS.0..=ProduceRequest::VERSIONS.1
    }

    fn part(index: i32, sizes: &[usize]) -> PartitionPart {
        let body = sizes.iter().zip(1..).map(|(size, byte)| Bytes::from(vec![byte; *size])).collect();
        PartitionPart { index, head: [index as u8; 61], body }
    }

    #[test]
    fn the_frame_is_what_the_codec_makes_in_every_version() {
        let partitions = |first, count: i32| (first..first + count).map(|n| part(n, &[n as usize])).collect();
        let requests: [Vec<(TopicName, Vec<PartitionPart>)>; 5] = [
            Vec::new(),
            vec![("a".into(), vec![part(0, &[])])],
            vec![("a".into(), vec![part(0, &[5, 0, 7]), part(3, &[1])]), ("b-c".into(), vec![part(1, &[9])])],
            // Around the steps of a varint: lengths of 126 to 129 and counts beyond 127.
            vec![("n".repeat(127).into(), partitions(64, 5)), ("n".repeat(249).into(), partitions(0, 200))],
            vec![("large".into(), vec![part(0, &[16_321]), part(1, &[16_322]), part(2, &[1 << 21, 3])])],
        ];
        assert_eq!(versions(), 3..=12);
        for topics in requests {
            let parts = ProduceParts { topics };
            for version in versions() {
                // Not `assert_eq`: nobody reads megabytes of difference.
                assert!(
                    by_hand(&parts, version) == by_codec(&parts, version),
                    "version {version}: {parts:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_frame_is_what_the_codec_makes(
            topics in prop::collection::vec(
                ("[a-z._-]{1,40}", prop::collection::vec((any::<i32>(), prop::collection::vec(0..300_usize, 0..4)), 0..6)),
                0..5,
            ),
            version in versions(),
        ) {
            let topics = topics.into_iter().map(|(topic, partitions)| {
                let partitions = partitions.iter().map(|(index, sizes)| part(*index, sizes)).collect();
                (topic.as_str().into(), partitions)
            });
            let parts = ProduceParts { topics: topics.collect() };
            prop_assert_eq!(by_hand(&parts, version), by_codec(&parts, version));
        }
    }

    #[test]
    fn bodies_are_not_copied() {
        let parts = ProduceParts { topics: vec![("a".into(), vec![part(0, &[100]), part(1, &[200, 300])])] };
        let bodies: Vec<_> =
            parts.topics[0].1.iter().flat_map(|part| &part.body).map(|body| body.as_ptr()).collect();
        let chunks = encode(parts, TIMEOUT_MS, 12, 1, &text("mesh")).unwrap();
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = chunks.chunks_vectored(&mut slices);
        for body in bodies {
            assert!(slices[..count].iter().any(|slice| slice.as_ptr() == body));
        }
        // Before, between and behind the three bodies.
        assert_eq!(count, 6);
    }
}
