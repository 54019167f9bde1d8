//! Decoded records of one batch, in one buffer.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, OwnedHeaders};

use crate::engine::Records;

/// What librdkafka and we keep per record besides its bytes: its message struct when it is queued for writing, and
/// our span. Counted against the budget, so that many tiny records don't take many times what it says.
pub(super) const RECORD_OVERHEAD_BYTES: usize = 256;

/// What a set of headers is taken to hold when their names can't be looked at (they are not UTF-8).
const OPAQUE_HEADERS_BYTES: usize = 4096;

/// Decoded records of one batch: keys and values in one buffer, in offset order.
#[derive(Default)]
pub(super) struct RecordSet {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Headers as librdkafka keeps them: names with any bytes, order, duplicates and nulls stay as they are.
    headers: Vec<Option<OwnedHeaders>>,
    header_bytes: usize,
}

/// Where a record is in the buffer: the key, then the value.
#[derive(Clone, Copy)]
struct Span {
    offset: i64,
    timestamp_ms: i64,
    start: usize,
    key: Option<u32>,
    value: Option<u32>,
    headers: Option<u32>,
    header_bytes: u32,
}

/// One record of a set.
#[derive(Clone, Copy)]
pub(super) struct RecordRef<'a> {
    /// Offset on the source.
    pub(super) offset: i64,
    /// Timestamp in milliseconds since the epoch; −1 when the record has none.
    pub(super) timestamp_ms: i64,
    /// The key; `None` when it is null.
    pub(super) key: Option<&'a [u8]>,
    /// The value; `None` for a tombstone.
    pub(super) value: Option<&'a [u8]>,
    /// Names and values of the headers, in bytes.
    pub(super) header_bytes: usize,
    /// How many headers.
    pub(super) header_count: usize,
}

impl RecordRef<'_> {
    /// Bytes of key, value and headers.
    pub(super) fn payload_bytes(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + self.header_bytes
    }
}

impl RecordSet {
    /// An empty set with room for so many bytes of keys and values.
    pub(super) fn with_capacity(bytes: usize, records: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(records),
            headers: Vec::new(),
            header_bytes: 0,
        }
    }

    /// How many records.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The offsets of the records.
    pub(super) fn offsets(&self) -> impl Iterator<Item = i64> + '_ {
        self.spans.iter().map(|span| span.offset)
    }

    /// The record at `index`.
    pub(super) fn get(&self, index: usize) -> RecordRef<'_> {
        self.record(&self.spans[index])
    }

    /// Gives back memory that was reserved and not needed.
    pub(super) fn trim(&mut self) {
        if self.bytes.capacity() / 4 * 3 > self.bytes.len() {
            self.bytes.shrink_to_fit();
        }
        if self.spans.capacity() / 4 * 3 > self.spans.len() {
            self.spans.shrink_to_fit();
        }
    }

    /// Largest timestamp; −1 when no record has one.
    pub(super) fn max_timestamp_ms(&self) -> i64 {
        self.spans.iter().map(|span| span.timestamp_ms).max().unwrap_or(-1)
    }

    /// Bytes of keys, values and headers.
    pub(super) fn payload_bytes(&self) -> usize {
        self.bytes.len() + self.header_bytes
    }

    /// What the set is charged with in the budget.
    pub(super) fn budget_bytes(&self) -> usize {
        self.payload_bytes() + self.spans.len() * RECORD_OVERHEAD_BYTES
    }

    /// Appends a record.
    pub(super) fn push(
        &mut self,
        offset: i64,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<(OwnedHeaders, usize)>,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let mut span = Span {
            offset,
            timestamp_ms,
            start,
            key: key.map(length),
            value: value.map(length),
            headers: None,
            header_bytes: 0,
        };
        if let Some((headers, bytes)) = headers {
            span.headers = Some(u32::try_from(self.headers.len()).expect("a set holds far fewer records"));
            span.header_bytes = u32::try_from(bytes).expect("a record is shorter than 2 GiB");
            self.header_bytes += bytes;
            self.headers.push(Some(headers));
        }
        self.spans.push(span);
    }

    /// Appends a record as librdkafka hands it out.
    pub(super) fn push_message(&mut self, message: &BorrowedMessage<'_>, measure: &mut HeaderMeasure) {
        let headers =
            message.headers().map(|headers| (headers.detach(), measure.bytes(headers))).filter(|(h, _)| {
                // An empty header list is the same as none, in Kafka's format.
                h.count() > 0
            });
        self.push(
            message.offset(),
            message.timestamp().to_millis().unwrap_or(-1),
            message.key(),
            message.payload(),
            headers,
        );
    }

    /// The record at `index` with its headers, which are taken out: they go to the producer without a copy.
    pub(super) fn take(&mut self, index: usize) -> (RecordRef<'_>, Option<OwnedHeaders>) {
        let span = self.spans[index];
        let headers = span.headers.and_then(|at| self.headers[at as usize].take());
        (self.record(&span), headers)
    }

    /// Puts headers back that the producer didn't take.
    pub(super) fn put_back(&mut self, index: usize, headers: Option<OwnedHeaders>) {
        if let Some(at) = self.spans[index].headers {
            self.headers[at as usize] = headers;
        }
    }

    fn record(&self, span: &Span) -> RecordRef<'_> {
        let value_start = span.start + span.key.unwrap_or(0) as usize;
        let slice = |start: usize, length: Option<u32>| {
            length.map(|length| &self.bytes[start..start + length as usize])
        };
        RecordRef {
            offset: span.offset,
            timestamp_ms: span.timestamp_ms,
            key: slice(span.start, span.key),
            value: slice(value_start, span.value),
            header_bytes: span.header_bytes as usize,
            header_count: span
                .headers
                .and_then(|at| self.headers[at as usize].as_ref())
                .map_or(0, Headers::count),
        }
    }
}

impl Records for RecordSet {
    /// The last such header of a record wins (W3C Trace Context).
    fn trace_parents(&self, most: usize) -> Vec<Vec<u8>> {
        // Names that are not UTF-8 can't be looked at.
        let readable = self.spans.iter().filter(|span| span.header_bytes as usize != OPAQUE_HEADERS_BYTES);
        let headers = readable.filter_map(|span| self.headers[span.headers? as usize].as_ref());
        let parents = headers.filter_map(|headers| {
            let last = headers.iter().filter(|header| header.key == "traceparent").last()?;
            last.value.map(<[u8]>::to_vec)
        });
        parents.take(most).collect()
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a Kafka record is shorter than 2 GiB")
}

impl fmt::Debug for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSet")
            .field("records", &self.spans.len())
            .field("payload_bytes", &self.payload_bytes())
            .finish_non_exhaustive()
    }
}

/// Finds out how large headers are.
///
/// rdkafka hands out header names as text, and refuses by a panic what is none. Headers are carried in librdkafka's own
/// form, so every name arrives unchanged; only the size of such ones stays unknown. After the first one the names of a
/// lane are not looked at any more, so that it costs one caught panic and not one per record.
#[derive(Default)]
pub(super) struct HeaderMeasure {
    opaque: bool,
}

impl HeaderMeasure {
    fn bytes(&mut self, headers: &BorrowedHeaders) -> usize {
        if !self.opaque {
            let sum = catch_unwind(AssertUnwindSafe(|| {
                headers
                    .iter()
                    .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len))
                    .sum::<usize>()
            }));
            if let Ok(bytes) = sum {
                return bytes;
            }
            self.opaque = true;
        }
        OPAQUE_HEADERS_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rdkafka::message::Header;

    type Plain = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

    fn plain() -> impl Strategy<Value = Plain> {
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
        let headers = prop::collection::vec(("[a-c]{0,3}", bytes()), 0..4);
        (any::<i64>(), -1..i64::MAX, bytes(), bytes(), headers)
    }

    fn owned(headers: &[(String, Option<Vec<u8>>)]) -> Option<(OwnedHeaders, usize)> {
        if headers.is_empty() {
            return None;
        }
        let mut owned = OwnedHeaders::new();
        for (key, value) in headers {
            owned = owned.insert(Header { key, value: value.as_ref() });
        }
        let bytes = HeaderMeasure::default().bytes(owned.as_borrowed());
        Some((owned, bytes))
    }

    proptest! {
        /// R8 within the engine: what goes in comes out, nulls and empties apart.
        #[test]
        fn records_come_out_as_they_went_in(records in prop::collection::vec(plain(), 0..20)) {
            let mut set = RecordSet::default();
            for (offset, timestamp, key, value, headers) in &records {
                set.push(*offset, *timestamp, key.as_deref(), value.as_deref(), owned(headers));
            }
            prop_assert_eq!(set.len(), records.len());
            let payload: usize = (0..set.len()).map(|index| set.get(index).payload_bytes()).sum();
            prop_assert_eq!(set.payload_bytes(), payload);
            for (index, (offset, timestamp, key, value, headers)) in records.iter().enumerate() {
                let (record, taken) = set.take(index);
                prop_assert_eq!(record.offset, *offset);
                prop_assert_eq!(record.timestamp_ms, *timestamp);
                prop_assert_eq!(record.key, key.as_deref());
                prop_assert_eq!(record.value, value.as_deref());
                let seen: Vec<_> = taken.iter().flat_map(|headers| headers.iter())
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect();
                prop_assert_eq!(&seen, headers);
                set.put_back(index, taken);
                let again = set.take(index).1.map_or(0, |headers| headers.count());
                prop_assert_eq!(again, headers.len());
            }
        }
    }
}
