//! What the target would refuse, found before it is sent: one refused record would end the whole producer.

use crate::engine::TargetLimits;
use crate::model::{Fault, FaultKind, TopicPartition};

use super::record_set::RecordRef;

/// Bytes of a batch's header (record batch v2).
const BATCH_OVERHEAD_BYTES: usize = 61;
/// Most that a record's lengths, attributes and deltas take: six varints of at most 5 or 10 bytes, one byte.
const RECORD_FRAME_BYTES: usize = 36;
/// Most that a header's two lengths take.
const HEADER_FRAME_BYTES: usize = 10;

/// Size of a batch of this one record, uncompressed: what `max.message.bytes` is compared with. At most a few dozen
/// bytes above the true one.
pub(super) fn batch_bytes(record: &RecordRef<'_>) -> usize {
    BATCH_OVERHEAD_BYTES
        + RECORD_FRAME_BYTES
        + record.payload_bytes()
        + record.header_count * HEADER_FRAME_BYTES
}

/// Says why the target topic would refuse a record; `None` when it takes it.
pub(super) fn refusal(
    record: &RecordRef<'_>,
    limits: &TargetLimits,
    now_ms: i64,
    source: &TopicPartition,
    target: &TopicPartition,
) -> Option<Fault> {
    let offset = record.offset;
    let size = batch_bytes(record);
    if size > limits.max_message_bytes {
        return Some(Fault::new(
            FaultKind::RecordTooLarge,
            format!(
                "record at offset {offset} of {source} takes {size} bytes, the target topic {} at most {}",
                target.topic, limits.max_message_bytes
            ),
            format!("raise max.message.bytes of {} to {size} or more", target.topic),
        ));
    }
    if limits.compacted && record.key.is_none() {
        return Some(Fault::new(
            FaultKind::MissingKey,
            format!(
                "record at offset {offset} of {source} has no key, and the target topic {} is compacted",
                target.topic
            ),
            format!("remove compact from cleanup.policy of {}, or exclude the topic", target.topic),
        ));
    }
    if limits.append_time || record.timestamp_ms < 0 {
        return None;
    }
    let age = now_ms.saturating_sub(record.timestamp_ms);
    let (entry, limit) = match (limits.timestamp_before_max_ms, limits.timestamp_after_max_ms) {
        (Some(limit), _) if age > limit => ("message.timestamp.before.max.ms", limit),
        (_, Some(limit)) if age.saturating_neg() > limit => ("message.timestamp.after.max.ms", limit),
        _ => return None,
    };
    Some(Fault::new(
        FaultKind::TimestampRefused,
        format!(
            "record at offset {offset} of {source} is stamped {}, and {entry} of the target topic {} is {limit}",
            record.timestamp_ms, target.topic
        ),
        format!("raise {entry} of {}", target.topic),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn record(key: Option<&'static [u8]>, value: &'static [u8], timestamp_ms: i64) -> RecordRef<'static> {
        RecordRef { offset: 42, timestamp_ms, key, value: Some(value), header_bytes: 0, header_count: 0 }
    }

    fn check(record: &RecordRef<'_>, limits: &TargetLimits) -> Option<Fault> {
        refusal(
            record,
            limits,
            NOW,
            &TopicPartition::new("orders", 3),
            &TopicPartition::new("east.orders", 3),
        )
    }

    #[test]
    fn a_record_that_fits_passes() {
        assert_eq!(check(&record(None, b"v", NOW), &TargetLimits::default()), None);
    }

    #[test]
    fn a_large_record_is_named_with_source_size_and_limit() {
        let limits = TargetLimits { max_message_bytes: 100, ..TargetLimits::default() };
        let fault = check(&record(Some(b"key"), b"value", NOW), &limits).expect("105 bytes");
        assert_eq!(fault.kind, FaultKind::RecordTooLarge);
        for part in ["offset 42", "orders-3", "105 bytes", "east.orders", "100"] {
            assert!(fault.what.contains(part), "{part} is missing in: {}", fault.what);
        }
        assert_eq!(check(&record(None, b"va", NOW), &limits), None, "99 bytes fit");
    }

    #[test]
    fn headers_count_towards_the_size() {
        let with_headers = RecordRef { header_bytes: 100, header_count: 2, ..record(None, b"", NOW) };
        assert_eq!(batch_bytes(&with_headers), batch_bytes(&record(None, b"", NOW)) + 120);
    }

    #[test]
    fn a_compacted_target_wants_a_key() {
        let limits = TargetLimits { compacted: true, ..TargetLimits::default() };
        assert_eq!(check(&record(None, b"v", NOW), &limits).map(|f| f.kind), Some(FaultKind::MissingKey));
        assert_eq!(check(&record(Some(b""), b"v", NOW), &limits), None, "an empty key is a key");
    }

    #[test]
    fn timestamps_stay_within_the_limits() {
        let limits = TargetLimits {
            timestamp_before_max_ms: Some(1000),
            timestamp_after_max_ms: Some(500),
            ..TargetLimits::default()
        };
        let kind = |timestamp_ms| check(&record(None, b"v", timestamp_ms), &limits).map(|f| f.kind);
        assert_eq!(kind(NOW - 1000), None);
        assert_eq!(kind(NOW - 1001), Some(FaultKind::TimestampRefused));
        assert_eq!(kind(NOW + 500), None);
        assert_eq!(kind(NOW + 501), Some(FaultKind::TimestampRefused));
        assert_eq!(kind(-1), None, "no timestamp at all");
        let append = TargetLimits { append_time: true, ..limits };
        assert_eq!(check(&record(None, b"v", 1), &append), None, "the broker stamps it anew");
    }
}
