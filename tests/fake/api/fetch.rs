//! Fetch: within sessions, waiting for records (`ReplicaManager`, `FetchManager`).

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use tokio::time::{Instant, timeout_at};

use super::super::rights::Right;
use super::super::sessions::{Context, Wanted};
use super::super::state::{State, text};
use super::super::topics::Partition;
use super::Call;

/// First version that may read from a replica (KIP-392), that learns of divergence, that names topics by id.
const REPLICAS_SINCE: i16 = 11;
const LEADER_SINCE: i16 = 12;
const IDS_SINCE: i16 = 13;
/// Largest answer, whatever is asked (`fetch.max.bytes`).
const LARGEST_BYTES: usize = 55 << 20;
/// Isolation level `read_committed`.
const READ_COMMITTED: i8 = 1;

/// What one round of reading found.
struct Round {
    read: Vec<(Wanted, PartitionData)>,
    /// Whether it is to be told at once.
    is_due: bool,
}

pub(super) async fn answer(call: &Call<'_>, asked: FetchRequest) -> FetchResponse {
    let by_id = call.version() >= IDS_SINCE;
    let begun = call.state().broker(call.broker()).sessions.begin(&asked, by_id);
    let (context, wanted) = match begun {
        Ok(begun) => begun,
        Err(code) => return FetchResponse::default().with_error_code(code.code()),
    };
    let throttle_ms = call.throttle_ms();
    if throttle_ms > 0 {
        let id = if let Context::Incremental(id) = context { id } else { 0 };
        return FetchResponse::default().with_throttle_time_ms(throttle_ms).with_session_id(id);
    }
    let wait = Duration::from_millis(u64::try_from(asked.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait;
    let mut changed = call.shared.changed.subscribe();
    let read = loop {
        let round = read_all(call, &asked, &wanted);
        if round.is_due || wanted.is_empty() || Instant::now() >= deadline {
            break round.read;
        }
        // When the time is up there is a last round.
        let _ = timeout_at(deadline, changed.changed()).await;
    };
    let (id, told) = call.state().broker(call.broker()).sessions.finish(context, by_id, read);
    FetchResponse::default().with_session_id(id).with_responses(by_topic(told, by_id))
}

fn read_all(call: &Call, asked: &FetchRequest, wanted: &[Wanted]) -> Round {
    let mut state = call.state();
    let most = usize::try_from(asked.max_bytes).unwrap_or(0).min(LARGEST_BYTES);
    let enough = usize::try_from(asked.min_bytes).unwrap_or(0).min(most);
    let (mut room, mut bytes, mut is_due) = (most, 0, false);
    let mut read = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let data = read_one(call, &mut state, asked, wanted, (room, bytes == 0));
        let length = data.records.as_ref().map_or(0, Bytes::len);
        room = room.saturating_sub(length);
        bytes += length;
        let redirected = data.preferred_read_replica.0 >= 0 || data.diverging_epoch.epoch >= 0;
        is_due |= data.error_code != 0 || redirected;
        read.push((wanted.clone(), data));
    }
    Round { read, is_due: is_due || bytes >= enough }
}

fn read_one(
    call: &Call,
    state: &mut State,
    asked: &FetchRequest,
    wanted: &Wanted,
    room: (usize, bool),
) -> PartitionData {
    let index = wanted.asked.partition;
    let name = match call.version() >= IDS_SINCE {
        true => state.name_of(wanted.topic.id).map(str::to_owned),
        false => Some(wanted.topic.name.clone()),
    };
    let data = match &name {
        None => Err(ResponseError::UnknownTopicId),
        Some(name) => read_named(call, state, asked, (name, wanted), room),
    };
    let code = match data {
        Ok(data) => return data,
        Err(code) => code,
    };
    let mut refused = PartitionData::default()
        .with_partition_index(index)
        .with_error_code(code.code())
        .with_high_watermark(-1)
        .with_records(Some(Bytes::new()));
    if call.version() >= LEADER_SINCE
        && matches!(code, ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch)
        && let Some(Ok(partition)) = name.map(|name| state.partition(&name, index).cloned())
    {
        refused.current_leader = LeaderIdAndEpoch::default()
            .with_leader_id(partition.leader.unwrap_or(-1).into())
            .with_leader_epoch(partition.epoch);
    }
    refused
}

fn read_named(
    call: &Call,
    state: &mut State,
    asked: &FetchRequest,
    (name, wanted): (&str, &Wanted),
    (room, at_least_one): (usize, bool),
) -> Result<PartitionData, ResponseError> {
    let wanted = &wanted.asked;
    if !state.denied.topic(name, Right::Read) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code);
    }
    let place = (name, wanted.partition);
    let only_leader = call.version() < REPLICAS_SINCE;
    state.held(call.broker(), place, wanted.current_leader_epoch, only_leader)?;
    let preferred = preferred_replica(call, state, asked, place)?;
    let partition = state.partition(name, wanted.partition)?;
    let mut data = PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_high_watermark(partition.log.high_watermark())
        .with_last_stable_offset(partition.log.last_stable())
        .with_log_start_offset(partition.log.start())
        .with_records(Some(Bytes::new()));
    if let Some(replica) = preferred {
        return Ok(data.with_preferred_read_replica(replica.into()));
    }
    let (offset, log) = (wanted.fetch_offset, &partition.log);
    if wanted.last_fetched_epoch >= 0
        && let Some(diverging) = divergence(partition, offset, wanted.last_fetched_epoch)?
    {
        return Ok(data.with_diverging_epoch(diverging));
    }
    if !(log.start()..=log.end()).contains(&offset) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let committed = asked.isolation_level == READ_COMMITTED;
    let limit = if committed { log.last_stable() } else { log.high_watermark() };
    let most = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(room);
    let chunk = log.read(offset, limit, most, at_least_one);
    if committed {
        let aborted = chunk.aborted.iter().map(|aborted| {
            AbortedTransaction::default()
                .with_producer_id(aborted.producer.into())
                .with_first_offset(aborted.first)
        });
        data.aborted_transactions = Some(aborted.collect());
    } else {
        data.aborted_transactions = None;
    }
    Ok(data.with_records(Some(chunk.records)))
}

/// Where the log of the leader parted from what the client has read, if it did (KIP-595).
fn divergence(
    partition: &Partition,
    offset: i64,
    last_epoch: i32,
) -> Result<Option<EpochEndOffset>, ResponseError> {
    let (epoch, end) = partition.log.epoch_end(last_epoch);
    if epoch < 0 || end < 0 || offset < partition.log.start() {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let diverged = epoch < last_epoch || end < offset;
    Ok(diverged.then(|| EpochEndOffset::default().with_epoch(epoch).with_end_offset(end)))
}

/// The replica in the client's rack, if it is told to read there.
fn preferred_replica(
    call: &Call,
    state: &mut State,
    asked: &FetchRequest,
    (name, index): (&str, i32),
) -> Result<Option<i32>, ResponseError> {
    let partition = state.partition(name, index)?;
    let (leads, replicas) = (partition.leader == Some(call.broker()), partition.replicas.clone());
    if !leads || !state.serves_racks || call.version() < REPLICAS_SINCE || asked.rack_id.is_empty() {
        return Ok(None);
    }
    let near = state.up().filter(|broker| {
        replicas.contains(&broker.id) && broker.rack.as_deref() == Some(asked.rack_id.as_str())
    });
    let near: Vec<i32> = near.map(|broker| broker.id).collect();
    Ok(near.first().copied().filter(|_| !near.contains(&call.broker())))
}

/// Partitions by their topics; those that follow each other are put together.
fn by_topic(told: Vec<(Wanted, PartitionData)>, by_id: bool) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<(_, FetchableTopicResponse)> = Vec::new();
    for (wanted, data) in told {
        match topics.last_mut() {
            Some((named, last)) if *named == wanted.topic => last.partitions.push(data),
            _ => {
                let topic = FetchableTopicResponse::default().with_partitions(vec![data]);
                let topic = match by_id {
                    true => topic.with_topic_id(wanted.topic.id),
                    false => topic.with_topic(text(wanted.topic.name.clone()).into()),
                };
                topics.push((wanted.topic, topic));
            }
        }
    }
    topics.into_iter().map(|(_, topic)| topic).collect()
}
