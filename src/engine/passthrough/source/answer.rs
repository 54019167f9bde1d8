//! What a loop does with an answer.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_response::{FetchResponse, PartitionData};

use super::fetch_loop::FetchLoop;
use super::reader::{PartitionVerdict, Reader, Returned, Why, judge};
use super::response::PartitionAnswer;
use super::router::RouterOrder;
use super::table::max_bytes;
use crate::engine::budget::Permit;
use crate::engine::{Batch, Body, SourceError};
use crate::model::Isolation;

/// Answers may take this part of what the flow can use of the budget beyond what batches hold, and never more than is
/// free, before batches are copied out of them: so batches and answers together stay within the budget.
const SLACK: u64 = 4;

impl FetchLoop {
    /// Hands on what an answer holds. False when the answer as a whole is an error.
    pub(super) fn answered(&mut self, answer: FetchResponse, mut reserved: Permit) -> bool {
        if let Err(code) = self.table.session.answered(answer.error_code, answer.session_id) {
            match code {
                ResponseError::FetchSessionIdNotFound
                | ResponseError::InvalidFetchSessionEpoch
                | ResponseError::FetchSessionTopicIdError => {
                    tracing::debug!(target: crate::engine::LOG, flow = %self.spec.flow, broker = self.broker, slot = self.slot, %code,
                        "the fetch session is opened anew");
                    return true;
                }
                code => {
                    let text = format!("broker {} refuses to be read: {code} ({})", self.broker, code.code());
                    self.gave_up(&text, false);
                    return false;
                }
            }
        }
        let asked = reserved.bytes();
        let frame: u64 = answer.responses.iter().flat_map(|topic| &topic.partitions).map(bytes_of).sum();
        let crowded = self.is_crowded();
        let mut touched = std::mem::take(&mut self.touched);
        for topic in answer.responses {
            for data in topic.partitions {
                let partition = data.partition_index;
                let has_data = bytes_of(&data) > 0;
                let copy_below = if crowded { frame / 2 } else { 0 };
                if self.take_partition(&topic.topic, data, &mut reserved, copy_below) && has_data {
                    touched.push((topic.topic.clone(), partition));
                }
            }
        }
        drop(reserved);
        self.request_size.received(asked, frame);
        let share = max_bytes(self.request_size.share_bytes(self.table.behind()));
        for (topic, partition) in touched.drain(..) {
            if let Some(entry) = self.table.entry(&topic, partition) {
                entry.max_bytes = share;
            }
            self.table.settle(&topic, partition);
        }
        self.touched = touched;
        true
    }

    /// Whether answers take much more memory than the batches that hold permits: then few batches keep many answers.
    fn is_crowded(&self) -> bool {
        let in_use = self.spec.wire.buffers_in_use_bytes() as u64;
        let account = &self.spec.account;
        in_use > account.held_bytes() + slack(account.usable_bytes(), account.free_bytes())
    }

    /// Hands on what the answer holds of one partition. False when its lane is not here any more.
    fn take_partition(
        &mut self,
        topic: &TopicName,
        data: PartitionData,
        reserved: &mut Permit,
        copy_below: u64,
    ) -> bool {
        let (partition, broker, isolation) = (data.partition_index, self.broker, self.spec.isolation);
        let asked = reserved.bytes();
        let Some(entry) = self.table.entry(topic, partition) else { return false };
        let reader = &mut entry.reader;
        if !reader.is_current() {
            // Its end is on its way to us; until then the broker need not send more.
            self.table.session.forget(topic, partition);
            return false;
        }
        let is_replica = reader.replica.is_some_and(|(replica, _)| replica == broker);
        if let Some(code) = ResponseError::try_from_code(data.error_code) {
            let verdict = judge(code, reader.next, is_replica);
            self.dismiss(topic, partition, code, verdict);
            return false;
        }
        if data.diverging_epoch.epoch >= 0 || data.diverging_epoch.end_offset >= 0 {
            let truncated = SourceError::Truncated { offset: reader.next };
            self.tell(topic, partition, truncated);
            return false;
        }
        if data.preferred_read_replica.0 >= 0 && data.preferred_read_replica.0 != broker {
            self.send_away(topic, partition, Why::Follow(data.preferred_read_replica.0));
            return false;
        }
        reader.went_well();
        let limit = limit_of(&data, isolation);
        let has_data = bytes_of(&data) > 0;
        let aborted = data.aborted_transactions.unwrap_or_default();
        let answer = PartitionAnswer {
            records: data.records.unwrap_or_default(),
            aborted: aborted.iter().map(|entry| (entry.producer_id.0, entry.first_offset)).collect(),
            isolation,
            wanted: reader.next,
            last_epoch: reader.last_epoch,
        };
        let (lane, fetch) = (&reader.lane, reader.fetch);
        let taken = answer.take(|info, batch| {
            let permit = match &batch {
                Some(batch) => reserved.pass_on(batch.bytes().len() as u64, &lane.account),
                None => Permit::empty(),
            };
            let batches =
                batch.map(|batch| if (info.bytes as u64) < copy_below { batch.detached() } else { batch });
            let body = Body::Batches(batches.into_iter().collect());
            lane.core.fetched(fetch, Batch { info, permit, body });
        });
        let stood_still = has_data && taken.next == reader.next;
        (reader.next, reader.last_epoch) = (taken.next, taken.last_epoch);
        let (next, share) = (reader.next, entry.max_bytes);
        if let Some(damage) = taken.damage {
            self.tell(topic, partition, damage);
            return false;
        }
        let text = match taken.cut_bytes {
            Some(needed) if asked < needed as u64 || i64::from(share) < needed as i64 => {
                self.request_size.make_room(needed as u64);
                if let Some(entry) = self.table.entry(topic, partition) {
                    entry.max_bytes = max_bytes(needed as u64);
                }
                self.table.settle(topic, partition);
                return false;
            }
            Some(needed) => format!("the broker cuts the batch of {needed} bytes at offset {next} short"),
            None if stood_still => format!("the broker sends batches from before offset {next} only"),
            None => {
                self.table.set_behind(topic, partition, next < limit);
                return true;
            }
        };
        // Asking at once would bring the same.
        self.tell(topic, partition, SourceError::Retriable(text));
        false
    }

    /// Ends the fetch of a lane with an error.
    fn tell(&mut self, topic: &TopicName, partition: i32, error: SourceError) {
        if let Some(reader) = self.take_entry(topic, partition) {
            // The router ends last.
            let _ =
                self.router.send(RouterOrder::Ended { lane: reader.lane.id.clone(), fetch: reader.fetch });
            reader.fail(error);
        }
    }

    /// Takes a lane out whose partition can't be read here.
    fn dismiss(&mut self, topic: &TopicName, partition: i32, code: ResponseError, verdict: PartitionVerdict) {
        let why = match verdict {
            PartitionVerdict::Tell(error) => return self.tell(topic, partition, error),
            PartitionVerdict::Reroute => Why::Moved(code),
            PartitionVerdict::Unknown => Why::Unknown,
            PartitionVerdict::AskLeader => Why::Home,
        };
        tracing::debug!(target: crate::engine::LOG, flow = %self.spec.flow, broker = self.broker, topic = topic.0.as_str(), partition,
            %code, ?why, "the partition is looked for elsewhere");
        self.send_away(topic, partition, why);
    }

    fn send_away(&mut self, topic: &TopicName, partition: i32, why: Why) {
        if let Some(reader) = self.take_entry(topic, partition) {
            let returned = vec![Returned { reader, why }];
            // The router ends last; without it nobody waits for the lane.
            let _ = self.router.send(RouterOrder::Back { from: (self.broker, self.slot), returned });
        }
    }

    fn take_entry(&mut self, topic: &TopicName, partition: i32) -> Option<Reader> {
        let id = self.table.entry(topic, partition)?.reader.lane.id.clone();
        self.table.take(&id)
    }
}

/// Where the log ends for a reader of this isolation.
fn limit_of(data: &PartitionData, isolation: Isolation) -> i64 {
    match isolation {
        Isolation::ReadCommitted => data.last_stable_offset,
        Isolation::ReadUncommitted => data.high_watermark,
    }
}

fn bytes_of(data: &PartitionData) -> u64 {
    data.records.as_ref().map_or(0, |records| records.len() as u64)
}

/// Bytes that answers may take beyond what batches hold.
fn slack(usable_bytes: u64, free_bytes: u64) -> u64 {
    (usable_bytes / SLACK).min(free_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7, where batches have the whole budget.
    #[test]
    fn answers_and_batches_share_the_budget() {
        let budget = 96 << 20;
        for held in (0..=budget).step_by(1 << 20) {
            let slack = slack(budget, budget - held);
            assert!(held + slack <= budget && slack <= budget / 4, "{slack} beside {held}");
        }
        assert_eq!((slack(budget, budget), slack(budget, 0)), (24 << 20, 0));
    }
}
