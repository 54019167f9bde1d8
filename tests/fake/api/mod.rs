//! The calls, a file each, and which versions of them are offered.

mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_producers;
mod fetch;
mod find_coordinator;
mod incremental_alter_configs;
mod init_producer_id;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sasl;
mod unsupported;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest,
    FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    ListGroupsRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use parking_lot::MutexGuard;

use super::cluster::Shared;
use super::connection::Login;
use super::requests::Request;
use super::state::State;

/// What becomes of a request.
pub(super) enum Outcome {
    /// This is sent, length included.
    Answer(Bytes),
    /// This is sent, and the connection closed.
    Last(Bytes),
    /// Nothing is sent: the client wants no answer.
    Nothing,
    /// The connection is closed.
    Close,
}

/// A request and what it needs to be carried out.
pub(super) struct Call<'a> {
    shared: &'a Shared,
    request: &'a Request,
}

impl Call<'_> {
    fn broker(&self) -> i32 {
        self.request.broker
    }

    fn version(&self) -> i16 {
        self.request.version
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// Looks at the state, and leaves it but for what is counted down.
    fn read<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.shared.change(change)
    }

    /// For how long the client is asked to keep quiet.
    fn throttle_ms(&self) -> i32 {
        self.state().throttle_ms(self.request.api)
    }

    /// What a test wants to be answered of a topic or group.
    fn fault(&self, state: &mut State, name: &str) -> Option<ResponseError> {
        state.fault(self.broker(), self.request.api, name)
    }
}

macro_rules! calls {
    ($($name:ident: $request:ty, $min:literal to $max:literal, $answer:path;)*) => {
        /// The calls that are offered, with their lowest and highest versions.
        pub(crate) const OFFERED: &[(ApiKey, i16, i16)] = &[
            (ApiKey::Fetch, 4, 18),
            (ApiKey::Produce, 3, 13),
            $((ApiKey::$name, $min, $max)),*
        ];

        /// Carries out what needs no waiting.
        fn answer(call: &Call) -> Option<Bytes> {
            match call.request.api {
                $(ApiKey::$name => {
                    let asked: $request = call.request.try_decode()?;
                    Some(call.request.frame(&$answer(call, &asked)))
                })*
                _ => None,
            }
        }
    };
}

// DescribeGroups, OffsetFetch and OffsetCommit go further at a broker than our types of the protocol do.
calls! {
    ApiVersions: ApiVersionsRequest, 0 to 4, api_versions::answer;
    CreatePartitions: CreatePartitionsRequest, 0 to 3, create_partitions::answer;
    CreateTopics: CreateTopicsRequest, 2 to 7, create_topics::answer;
    DeleteTopics: DeleteTopicsRequest, 1 to 6, delete_topics::answer;
    DescribeCluster: DescribeClusterRequest, 0 to 2, describe_cluster::answer;
    DescribeConfigs: DescribeConfigsRequest, 1 to 4, describe_configs::answer;
    DescribeGroups: DescribeGroupsRequest, 0 to 6, describe_groups::answer;
    DescribeProducers: DescribeProducersRequest, 0 to 0, describe_producers::answer;
    FindCoordinator: FindCoordinatorRequest, 0 to 6, find_coordinator::answer;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest, 0 to 1, incremental_alter_configs::answer;
    InitProducerId: InitProducerIdRequest, 0 to 5, init_producer_id::answer;
    ListGroups: ListGroupsRequest, 0 to 5, list_groups::answer;
    ListOffsets: ListOffsetsRequest, 1 to 10, list_offsets::answer;
    Metadata: MetadataRequest, 0 to 13, metadata::answer;
    OffsetCommit: OffsetCommitRequest, 2 to 9, offset_commit::answer;
    OffsetFetch: OffsetFetchRequest, 1 to 9, offset_fetch::answer;
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest, 2 to 4, offset_for_leader_epoch::answer;
    SaslHandshake: SaslHandshakeRequest, 0 to 1, sasl::without_login;
    SaslAuthenticate: SaslAuthenticateRequest, 0 to 2, sasl::not_now;
}

/// Carries a request out.
///
/// What is not offered ends as at a broker: ApiVersions is answered in version 0, for anything else the connection is
/// closed. Calls that a broker offers and this one doesn't are answered UNSUPPORTED_VERSION.
pub(super) async fn carry_out(shared: &Shared, request: &Request, login: &mut Login) -> Outcome {
    let call = Call { shared, request };
    let offered = shared.offered.iter().find(|(api, ..)| *api == request.api);
    if !offered.is_some_and(|(_, min, max)| (*min..=*max).contains(&request.version)) {
        return match request.api {
            ApiKey::ApiVersions => Outcome::Answer(api_versions::refuse(&call)),
            _ => unsupported::answer(&call).map_or(Outcome::Close, Outcome::Answer),
        };
    }
    if !login.done && request.api != ApiKey::ApiVersions {
        return sasl::log_in(&call, login);
    }
    let decoded = match request.api {
        ApiKey::Fetch => match request.try_decode::<FetchRequest>() {
            Some(asked) => Some(request.frame(&fetch::answer(&call, asked).await)),
            None => None,
        },
        ApiKey::Produce => match request.try_decode::<ProduceRequest>() {
            Some(asked) if asked.acks == 0 => return produce::without_answer(&call, &asked),
            Some(asked) => Some(request.frame(&produce::answer(&call, &asked))),
            None => None,
        },
        _ => answer(&call),
    };
    decoded.map_or(Outcome::Close, Outcome::Answer)
}
