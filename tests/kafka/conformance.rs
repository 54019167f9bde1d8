//! The fake cluster of `tests/fake` and real Kafka, asked the same questions: what holds for one holds for the other.
//!
//! A case takes a [`Subject`] and doesn't know which of the two it is. It asks through our own connection, and where
//! that hides something, through plain frames ([`Raw`]).

mod configs;
mod epochs;
mod fetch;
mod groups;
mod idempotence;
mod offsets;
mod produce;
mod protocol;
mod raw;
mod sessions;
mod topics;

use mirrormesh::model::{Isolation, TopicPartition};
use mirrormesh::wire::{NewRecord, OffsetSpec, Wire};

use crate::common::{self, KafkaClient, Protocol, pair};
use crate::fake::FakeCluster;
use crate::wire::new_topic;
use raw::Raw;

/// What is asked: one of the two.
struct Subject {
    bootstrap: String,
    wire: Wire,
    fake: Option<FakeCluster>,
}

/// A group that has a member, until it leaves.
enum Member {
    Fake(String),
    Real(common::Member),
}

impl Subject {
    async fn fake() -> Self {
        let cluster = FakeCluster::start().await;
        let bootstrap = cluster.bootstrap();
        Self { wire: crate::wire::wire(&bootstrap), bootstrap, fake: Some(cluster) }
    }

    async fn real() -> Self {
        let bootstrap = pair().await.east.bootstrap().to_owned();
        Self { wire: crate::wire::wire(&bootstrap), bootstrap, fake: None }
    }

    /// A connection of its own, for plain frames.
    async fn raw(&self) -> Raw {
        Raw::connect(&self.bootstrap).await
    }

    /// A name that no other case uses.
    fn name(&self, name: &str) -> String {
        common::topic(name)
    }

    /// A new topic.
    async fn topic(&self, partitions: i32, configs: &[(&str, &str)]) -> String {
        let name = self.name("conformance");
        self.wire.create_topic(&new_topic(&name, partitions, configs), false).await.unwrap();
        self.led(&name, partitions).await;
        name
    }

    /// Waits until leaders know that they lead: a moment after the metadata says so.
    async fn led(&self, topic: &str, partitions: i32) {
        let latest = |partition| (TopicPartition::new(topic, partition), OffsetSpec::Latest);
        let queries: Vec<_> = (0..partitions).map(latest).collect();
        for (place, listed) in self.wire.list_offsets(&queries, Isolation::ReadUncommitted).await.unwrap() {
            listed.unwrap_or_else(|error| panic!("{place}: {error}"));
        }
    }

    /// Writes records with these values as one batch; tells the offset of the first.
    async fn write(&self, topic: &str, partition: i32, values: &[&str]) -> i64 {
        let record = |value: &&str| NewRecord {
            timestamp_ms: 1_000,
            key: Some("key".into()),
            value: Some(value.as_bytes().to_vec().into()),
            headers: Vec::new(),
        };
        let records: Vec<_> = values.iter().map(record).collect();
        let place = TopicPartition::new(topic, partition);
        self.wire.produce(&place, &records, mirrormesh::model::Codec::None).await.unwrap().base_offset
    }

    /// librdkafka's client of it.
    fn rdkafka(&self) -> KafkaClient {
        KafkaClient::new(&self.bootstrap)
    }

    /// Has a member join a group.
    async fn join(&self, group: &str, topic: &str) -> Member {
        match &self.fake {
            Some(fake) => {
                fake.set_group_members(group, 1);
                Member::Fake(group.to_owned())
            }
            None => Member::Real(self.rdkafka().join(group, topic, Protocol::Classic).await),
        }
    }

    /// Has it leave.
    async fn leave(&self, member: Member) {
        match (member, &self.fake) {
            (Member::Real(member), _) => member.leave().await,
            (Member::Fake(group), Some(fake)) => fake.set_group_members(&group, 0),
            (Member::Fake(_), None) => panic!("real groups have real members"),
        }
    }
}

macro_rules! ask_both {
    ($($area:ident: $($case:ident),*;)*) => {
        mod fake {
            $(mod $area {
                $(#[tokio::test]
                async fn $case() {
                    super::super::$area::$case(&super::super::Subject::fake().await).await;
                })*
            })*
        }
        mod real {
            $(mod $area {
                $(#[tokio::test]
                async fn $case() {
                    super::super::$area::$case(&super::super::Subject::real().await).await;
                })*
            })*
        }
    };
}

ask_both! {
    protocol:
        what_we_speak_is_offered,
        an_unknown_version_of_api_versions_is_answered_in_version_0,
        an_unknown_version_of_another_call_ends_the_connection,
        names_of_clients_are_checked,
        nobody_logs_in_over_plaintext,
        rights_are_told_without_acls,
        librdkafka_writes_and_reads;
    topics:
        what_does_not_exist_is_unknown,
        a_topic_is_made_as_asked,
        what_can_not_be_made_is_refused,
        a_topic_that_is_only_checked_is_not_made,
        a_topic_grows_and_never_shrinks,
        a_topic_made_anew_has_another_id;
    configs:
        defaults_and_sources_are_told,
        some_keys_are_told_where_some_are_asked,
        entries_are_set_and_removed,
        lists_are_added_to_and_taken_from,
        what_is_wrong_changes_nothing;
    produce:
        offsets_follow_each_other,
        a_damaged_batch_is_refused,
        a_large_batch_is_refused,
        odd_requests_are_refused,
        brokers_stamp_where_the_topic_says_so,
        records_without_a_key_are_not_compacted,
        times_too_far_ahead_are_refused,
        batches_get_the_compression_of_their_topic,
        what_is_not_there_can_not_be_written;
    idempotence:
        ids_are_new_each_time,
        sequences_have_no_gap,
        the_last_five_batches_are_known,
        an_older_epoch_is_fenced,
        a_new_producer_begins_anywhere,
        sequences_begin_again_at_their_end,
        producers_are_told;
    fetch:
        an_empty_log_is_told_as_such,
        a_batch_comes_whole_from_its_middle,
        offsets_outside_are_refused,
        limits_cut_but_not_the_first_batch,
        an_append_wakes_a_fetch,
        a_fetch_waits_for_enough,
        topics_are_named_by_id;
    sessions:
        only_what_changed_is_told,
        what_is_forgotten_is_not_told,
        a_wrong_session_is_refused,
        a_session_is_closed_by_the_last_request,
        errors_are_told_each_time;
    offsets:
        a_log_tells_its_ends,
        records_are_found_by_their_time,
        what_can_not_be_looked_up_is_refused;
    epochs:
        epochs_end_where_the_next_begins,
        a_later_epoch_is_not_known_yet,
        a_reader_of_another_log_is_told;
    groups:
        a_group_that_is_not_there_has_nothing,
        a_commit_makes_a_group,
        a_commit_of_a_generation_is_refused,
        a_commit_that_can_not_be_kept_is_refused,
        groups_are_listed_by_state,
        groups_with_members_refuse_commits,
        coordinators_are_found;
}
