//! What a cluster holds: topics, records, commits, made and looked at by a test.

use std::collections::BTreeMap;

use bytes::Bytes;
use mirrormesh::batch::{BatchBuilder, RawBatch, Record};
use mirrormesh::model::Codec;
use uuid::Uuid;

use super::cluster::FakeCluster;
use super::groups::{Commit, Group};
use super::log;
use super::state::now_ms;

impl FakeCluster {
    /// Creates a topic with a replica on every broker.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.change(|state| {
            assert!(!state.topics.contains_key(name), "{name} exists");
            let replicas = state.brokers.len();
            state.add_topic(name, partitions, replicas, configs);
        });
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, name: &str) {
        self.change(|state| state.remove_topic(name)).expect("the topic exists");
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow_topic(&self, name: &str, total: i32) {
        self.change(|state| {
            let mut topic = state.topics.remove(name).expect("the topic exists");
            let replicas = topic.partitions[0].replicas.len();
            state.grow(&mut topic, total, replicas);
            state.topics.insert(name.to_owned(), topic);
        });
    }

    /// The names of all topics, and how many partitions they have.
    pub(crate) fn topics(&self) -> BTreeMap<String, usize> {
        let state = self.shared.state.lock();
        state.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions.len())).collect()
    }

    /// A topic's id.
    pub(crate) fn topic_id(&self, name: &str) -> Uuid {
        self.shared.state.lock().topic(name).expect("the topic exists").id
    }

    /// A topic's own configuration.
    pub(crate) fn topic_configs(&self, name: &str) -> BTreeMap<String, String> {
        self.shared.state.lock().topic(name).expect("the topic exists").configs.clone()
    }

    /// Changes a key of a topic's own configuration, or removes it.
    pub(crate) fn configure_topic(&self, name: &str, key: &str, value: Option<&str>) {
        self.change(|state| {
            let topic = state.topics.get_mut(name).expect("the topic exists");
            match value {
                Some(value) => _ = topic.configs.insert(key.to_owned(), value.to_owned()),
                None => _ = topic.configs.remove(key),
            }
        });
    }

    /// Who leads a partition.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.change(|state| state.partition(topic, partition).expect("the partition exists").leader)
    }

    /// Under which epoch a partition is led.
    pub(crate) fn epoch(&self, topic: &str, partition: i32) -> i32 {
        self.change(|state| state.partition(topic, partition).expect("the partition exists").epoch)
    }

    /// Appends records of now, keys and values, as one batch; tells the offset of the first.
    pub(crate) fn produce(&self, topic: &str, partition: i32, records: &[(&str, &str)]) -> i64 {
        let mut batch = BatchBuilder::new(Codec::None);
        for (key, value) in records {
            batch.push(now_ms(), Some(key.as_bytes()), Some(value.as_bytes()), &[]);
        }
        self.append(topic, partition, batch)
    }

    /// Appends a batch as it is, checked by nobody; tells the offset of its first record.
    pub(crate) fn append(&self, topic: &str, partition: i32, batch: BatchBuilder) -> i64 {
        self.append_all(vec![(topic, partition, batch)])[0]
    }

    /// Appends batches to several partitions at once: no fetch comes in between.
    pub(crate) fn append_all(&self, batches: Vec<(&str, i32, BatchBuilder)>) -> Vec<i64> {
        self.change(|state| {
            let append = |(topic, partition, batch): (&str, i32, BatchBuilder)| {
                let batch = batch.build().expect("the batch can be built");
                let batch = RawBatch::parse(batch).expect("it was just made");
                let partition = state.partition(topic, partition).expect("the partition exists");
                partition.append(&batch, None).base_offset
            };
            batches.into_iter().map(append).collect()
        })
    }

    /// Ends the transaction of a producer in a partition with a marker; tells the marker's offset.
    pub(crate) fn end_transaction(
        &self,
        topic: &str,
        partition: i32,
        producer: (i64, i16),
        commit: bool,
    ) -> i64 {
        let marker = log::marker(producer, commit, now_ms());
        self.change(|state| {
            let partition = state.partition(topic, partition).expect("the partition exists");
            partition.append(&marker, None).base_offset
        })
    }

    /// All records of a partition, markers left out.
    pub(crate) fn records(&self, topic: &str, partition: i32) -> Vec<Record> {
        let batches = self.batches(topic, partition);
        let data = batches.iter().filter(|batch| !batch.header().is_control());
        data.flat_map(log::records).collect()
    }

    /// The values of all records of a partition, as text.
    pub(crate) fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        let text =
            |value: Option<Bytes>| String::from_utf8(value.unwrap_or_default().into()).expect("it is text");
        self.records(topic, partition).into_iter().map(|record| text(record.value)).collect()
    }

    /// All batches of a partition, as they are stored.
    pub(crate) fn batches(&self, topic: &str, partition: i32) -> Vec<RawBatch> {
        let mut state = self.shared.state.lock();
        state.partition(topic, partition).expect("the partition exists").log.batches().to_vec()
    }

    /// Where a log starts, and where it ends.
    pub(crate) fn offsets(&self, topic: &str, partition: i32) -> (i64, i64) {
        let mut state = self.shared.state.lock();
        let log = &state.partition(topic, partition).expect("the partition exists").log;
        (log.start(), log.end())
    }

    /// Commits an offset for a group.
    pub(crate) fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        self.change(|state| {
            let group: &mut Group = state.groups.entry(group.to_owned()).or_default();
            let commit = Commit { offset, leader_epoch: -1, metadata: String::new(), unstable: false };
            group.commits.insert((topic.to_owned(), partition), commit);
        });
    }

    /// What a group has committed for a partition.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let state = self.shared.state.lock();
        let commits = &state.groups.get(group)?.commits;
        commits.get(&(topic.to_owned(), partition)).map(|commit| commit.offset)
    }
}
