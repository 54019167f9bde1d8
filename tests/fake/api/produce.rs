//! Produce: batches are checked as a broker does (`UnifiedLog`, `LogValidator`), and appended.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use mirrormesh::batch::{BatchBuilder, RawBatch, Record, split};
use mirrormesh::model::Codec;

use super::super::log;
use super::super::rights::Right;
use super::super::state::{Refusal, State, now_ms, text};
use super::super::topics::Topic;
use super::{Call, Outcome};

/// First version that takes zstd (KIP-110), that tells single records (KIP-467), that tells the leader (KIP-951),
/// that names topics by id.
const ZSTD_SINCE: i16 = 7;
const RECORD_ERRORS_SINCE: i16 = 8;
const LEADER_SINCE: i16 = 10;
const IDS_SINCE: i16 = 13;
/// Records that a refusal names.
const NAMED_RECORDS: usize = 3;

/// Where a batch is.
struct Appended {
    base_offset: i64,
    append_time_ms: i64,
    log_start: i64,
}

/// Why a batch is not appended.
struct Refused {
    refusal: Refusal,
    records: Vec<(usize, String)>,
}

impl<T: Into<Refusal>> From<T> for Refused {
    fn from(refusal: T) -> Self {
        Self { refusal: refusal.into(), records: Vec::new() }
    }
}

pub(super) fn answer(call: &Call, asked: &ProduceRequest) -> ProduceResponse {
    let throttle_ms = call.throttle_ms();
    let topics = call.change(|state| {
        let topics = asked.topic_data.iter().map(|topic| {
            let by_id = call.version() >= IDS_SINCE;
            let name = match by_id {
                true => state.name_of(topic.topic_id).map(str::to_owned),
                false => Some(topic.name.to_string()),
            };
            let partitions = topic.partition_data.iter().map(|data| {
                let written = match &name {
                    None => Err(ResponseError::UnknownTopicId.into()),
                    Some(name) => {
                        let records = data.records.clone().unwrap_or_default();
                        write(call, state, asked, (name, data.index), records)
                    }
                };
                let place = (name.as_deref().unwrap_or_default(), data.index);
                partition_answer(call, state, place, written)
            });
            let answer = TopicProduceResponse::default().with_partition_responses(partitions.collect());
            if by_id { answer.with_topic_id(topic.topic_id) } else { answer.with_name(topic.name.clone()) }
        });
        topics.collect()
    });
    ProduceResponse::default().with_throttle_time_ms(throttle_ms).with_responses(topics)
}

/// A request whose client waits for no answer: all that can be told it is the end of the connection.
pub(super) fn without_answer(call: &Call, asked: &ProduceRequest) -> Outcome {
    let answer = answer(call, asked);
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    if partitions.any(|partition| partition.error_code != 0) { Outcome::Close } else { Outcome::Nothing }
}

fn partition_answer(
    call: &Call,
    state: &mut State,
    (topic, index): (&str, i32),
    written: Result<Appended, Refused>,
) -> PartitionProduceResponse {
    let mut answer = PartitionProduceResponse::default().with_index(index);
    let refused = match written {
        Ok(appended) => {
            return answer
                .with_base_offset(appended.base_offset)
                .with_log_append_time_ms(appended.append_time_ms)
                .with_log_start_offset(appended.log_start);
        }
        Err(refused) => refused,
    };
    let code = refused.refusal.code;
    answer.base_offset = -1;
    answer.error_code = code.code();
    if call.version() >= RECORD_ERRORS_SINCE {
        answer.error_message = refused.refusal.message.map(text);
        let records = refused.records.into_iter().map(|(at, message)| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(i32::try_from(at).expect("a batch has fewer records"))
                .with_batch_index_error_message(Some(text(message)))
        });
        answer.record_errors = records.collect();
    }
    if call.version() >= LEADER_SINCE
        && code == ResponseError::NotLeaderOrFollower
        && let Ok(partition) = state.partition(topic, index)
    {
        answer.current_leader = LeaderIdAndEpoch::default()
            .with_leader_id(partition.leader.unwrap_or(-1).into())
            .with_leader_epoch(partition.epoch);
    }
    answer
}

fn write(
    call: &Call,
    state: &mut State,
    asked: &ProduceRequest,
    place: (&str, i32),
    records: bytes::Bytes,
) -> Result<Appended, Refused> {
    let name = place.0;
    if !(-1..=1).contains(&asked.acks) {
        return Err(ResponseError::InvalidRequiredAcks.into());
    }
    if !state.denied.topic(name, Right::Write) {
        return Err(ResponseError::TopicAuthorizationFailed.into());
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code.into());
    }
    state.partition(name, place.1)?;
    let batch = only_batch(call, records)?;
    state.held(call.broker(), place, -1, true)?;
    let topic = state.topic(name)?;
    check_batch(topic, &batch)?;
    let now_ms = now_ms();
    check_records(topic, place, &batch, now_ms)?;
    let batch = recompressed(topic, batch);
    let append_time = (topic.config("message.timestamp.type") == "LogAppendTime").then_some(now_ms);
    let partition = state.held(call.broker(), place, -1, true)?;
    let log_start = partition.log.start();
    if let Some(earlier) = partition.producers.check(batch.header())? {
        // A broker tells the time of the batch here, whatever kind of time the topic has.
        let (base_offset, append_time_ms) = (earlier.base_offset, earlier.timestamp_ms);
        return Ok(Appended { base_offset, append_time_ms, log_start });
    }
    let base_offset = partition.append(&batch, append_time).base_offset;
    Ok(Appended { base_offset, append_time_ms: append_time.unwrap_or(-1), log_start })
}

/// The batch of a request, which holds exactly one (`ProduceRequest.validateRecords`).
fn only_batch(call: &Call, records: bytes::Bytes) -> Result<RawBatch, Refused> {
    let batches: Result<Vec<_>, _> = split(records).collect();
    let batches = batches.map_err(|error| Refusal::new(ResponseError::CorruptMessage, error.to_string()))?;
    let wrong = |what: &str| {
        let text = format!("Produce requests with version {} {what}", call.version());
        Refused::from(Refusal::new(ResponseError::InvalidRecord, text))
    };
    let mut batches = batches.into_iter();
    let batch = batches.next().ok_or_else(|| wrong("must have at least one record batch"))?;
    if batch.header().magic != 2 {
        return Err(wrong("are only allowed to contain record batches with magic version 2"));
    }
    if call.version() < ZSTD_SINCE && batch.header().codec().is_ok_and(|codec| codec == Codec::Zstd) {
        return Err(ResponseError::UnsupportedCompressionType.into());
    }
    if batches.next().is_some() {
        return Err(wrong("are only allowed to contain exactly one record batch"));
    }
    Ok(batch)
}

fn check_batch(topic: &Topic, batch: &RawBatch) -> Result<(), Refused> {
    let header = batch.header();
    let wrong = |code, what: String| Err(Refusal::new(code, what).into());
    if header.base_offset != 0 {
        let base = header.base_offset;
        return wrong(ResponseError::InvalidRecord, format!("The baseOffset should be 0, but it is {base}"));
    }
    let largest = topic.number("max.message.bytes");
    if i64::try_from(batch.bytes().len()).is_ok_and(|bytes| bytes > largest) {
        let bytes = batch.bytes().len();
        return wrong(
            ResponseError::MessageTooLarge,
            format!(
                "The record batch size in the append is {bytes} bytes which exceeds the maximum configured value of {largest}"
            ),
        );
    }
    if batch.verify_crc().is_err() {
        return wrong(ResponseError::CorruptMessage, "Record is corrupt".to_owned());
    }
    if header.is_transactional() {
        return wrong(ResponseError::UnsupportedVersion, "This cluster has no transactions".to_owned());
    }
    let offsets = header.last_offset_delta.checked_add(1);
    if header.is_control() || offsets != Some(header.record_count) {
        return wrong(ResponseError::InvalidRecord, "Inconsistent batch".to_owned());
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return wrong(ResponseError::InvalidRecord, "Invalid sequence number".to_owned());
    }
    Ok(())
}

fn check_records(
    topic: &Topic,
    (name, index): (&str, i32),
    batch: &RawBatch,
    now_ms: i64,
) -> Result<(), Refused> {
    let records = batch.records();
    let records = records.map_err(|error| Refusal::new(ResponseError::InvalidRecord, error.to_string()))?;
    let create_time = topic.config("message.timestamp.type") == "CreateTime";
    let latest = now_ms.saturating_add(topic.number("message.timestamp.after.max.ms"));
    let earliest = now_ms.saturating_sub(topic.number("message.timestamp.before.max.ms"));
    let problem = |record: &Record| {
        let time_ms = record.timestamp_ms;
        if record.key.is_none() && topic.is_compacted() {
            let text = format!(
                "Compacted topic cannot accept message without key in topic partition {name}-{index}"
            );
            return Some((ResponseError::InvalidRecord, text));
        }
        (create_time && !(earliest..=latest).contains(&time_ms)).then(|| {
            let text = format!("Timestamp {time_ms} of message is out of range.");
            (ResponseError::InvalidTimestamp, text)
        })
    };
    let wrong: Vec<_> = (0..).zip(&records).filter_map(|(at, record)| Some((at, problem(record)?))).collect();
    let Some((_, (code, _))) = wrong.first() else { return Ok(()) };
    let text = format!(
        "One or more records have been rejected due to {} record errors in total, and only showing the first \
         three errors at most",
        wrong.len()
    );
    let refusal = Refusal::new(*code, text);
    let named = wrong.into_iter().take(NAMED_RECORDS).map(|(at, (_, text))| (at, text)).collect();
    Err(Refused { refusal, records: named })
}

/// The batch in the topic's own compression.
fn recompressed(topic: &Topic, batch: RawBatch) -> RawBatch {
    let codec = match topic.config("compression.type") {
        "producer" => return batch,
        "gzip" => Codec::Gzip,
        "snappy" => Codec::Snappy,
        "lz4" => Codec::Lz4,
        "zstd" => Codec::Zstd,
        _ => Codec::None,
    };
    let header = batch.header();
    if header.codec().is_ok_and(|used| used == codec) {
        return batch;
    }
    let mut built =
        BatchBuilder::new(codec).producer(header.producer_id, header.producer_epoch, header.base_sequence);
    log::records(&batch).iter().for_each(|record| log::push(&mut built, record));
    RawBatch::parse(built.build().expect("it has records")).expect("it was just made")
}
