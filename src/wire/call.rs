//! The calls we speak: which versions of each, and where an answer says that it was throttled.

use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, ApiKey, ApiVersionsRequest, ApiVersionsResponse,
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, DescribeProducersRequest, DescribeProducersResponse,
    FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListGroupsRequest, ListGroupsResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest,
    ProduceResponse, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

/// A request that we know how to send, and its answer.
pub(super) trait Call: Encodable + HeaderVersion + Send {
    /// What the broker answers.
    type Answer: Decodable + HeaderVersion + Send + 'static;
    /// The call's key.
    const API: ApiKey;
    /// The call's name in Kafka's documentation.
    const NAME: &'static str;
    /// Lowest and highest version that we build and understand.
    const VERSIONS: (i16, i16);

    /// For how long the broker asks us to keep quiet, in milliseconds.
    fn throttle_ms(answer: &Self::Answer) -> i32;
}

macro_rules! calls {
    ($($name:ident: $request:ty => $answer:ty, $min:literal to $max:literal, $throttle:expr;)*) => {
        $(impl Call for $request {
            type Answer = $answer;
            const API: ApiKey = ApiKey::$name;
            const NAME: &'static str = stringify!($name);
            const VERSIONS: (i16, i16) = ($min, $max);

            fn throttle_ms(answer: &Self::Answer) -> i32 {
                let throttle: fn(&$answer) -> i32 = $throttle;
                throttle(answer)
            }
        })*
    };
}

// Produce 13, Fetch 13, OffsetFetch 10 and OffsetCommit 10 name topics by id only: the last versions with names serve
// brokers with and without ids. OffsetFetch 1 can't ask for all that a group committed.
calls! {
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse, 0 to 3, |answer| answer.throttle_time_ms;
    SaslHandshake: SaslHandshakeRequest => SaslHandshakeResponse, 1 to 1, |_| 0;
    SaslAuthenticate: SaslAuthenticateRequest => SaslAuthenticateResponse, 0 to 2, |_| 0;
    Metadata: MetadataRequest => MetadataResponse, 4 to 12, |answer| answer.throttle_time_ms;
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse, 1 to 9, |answer| answer.throttle_time_ms;
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse, 2 to 4,
        |answer| answer.throttle_time_ms;
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse, 2 to 7, |answer| answer.throttle_time_ms;
    CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse, 0 to 3,
        |answer| answer.throttle_time_ms;
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse, 1 to 4, |answer| answer.throttle_time_ms;
    AlterConfigs: AlterConfigsRequest => AlterConfigsResponse, 0 to 2, |answer| answer.throttle_time_ms;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse, 0 to 1,
        |answer| answer.throttle_time_ms;
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse, 0 to 1, |answer| answer.throttle_time_ms;
    DescribeProducers: DescribeProducersRequest => DescribeProducersResponse, 0 to 0,
        |answer| answer.throttle_time_ms;
    InitProducerId: InitProducerIdRequest => InitProducerIdResponse, 0 to 4, |answer| answer.throttle_time_ms;
    Fetch: FetchRequest => FetchResponse, 4 to 12, |answer| answer.throttle_time_ms;
    Produce: ProduceRequest => ProduceResponse, 3 to 12, |answer| answer.throttle_time_ms;
    ListGroups: ListGroupsRequest => ListGroupsResponse, 0 to 5, |answer| answer.throttle_time_ms;
    DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse, 0 to 5, |answer| answer.throttle_time_ms;
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse, 0 to 6, |answer| answer.throttle_time_ms;
    OffsetFetch: OffsetFetchRequest => OffsetFetchResponse, 2 to 9, |answer| answer.throttle_time_ms;
    OffsetCommit: OffsetCommitRequest => OffsetCommitResponse, 2 to 9, |answer| answer.throttle_time_ms;
}

/// What a broker offers: lowest and highest version per call.
#[derive(Clone, Debug, Default)]
pub(super) struct Offered(Vec<(i16, i16, i16)>);

impl Offered {
    /// Takes over what a broker answered.
    pub(super) fn new(answer: &ApiVersionsResponse) -> Self {
        Self(answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect())
    }

    /// Whether the call is offered in any version.
    pub(super) fn has(&self, api: ApiKey) -> bool {
        self.range(api as i16).is_some()
    }

    /// The highest version both sides speak.
    pub(super) fn best<C: Call>(&self) -> Option<i16> {
        let (min, max) = self.range(C::API as i16)?;
        let best = max.min(C::VERSIONS.1);
        (best >= min.max(C::VERSIONS.0)).then_some(best)
    }

    /// What the broker offers of a call, in words.
    pub(super) fn describe<C: Call>(&self) -> String {
        match self.range(C::API as i16) {
            None => format!("{} is missing", C::NAME),
            Some((min, max)) => format!(
                "{} is there in versions {min} to {max}, versions {} to {} are needed",
                C::NAME,
                C::VERSIONS.0,
                C::VERSIONS.1
            ),
        }
    }

    fn range(&self, key: i16) -> Option<(i16, i16)> {
        self.0.iter().find(|(api, ..)| *api == key).map(|(_, min, max)| (*min, *max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    fn offers(api: ApiKey, min: i16, max: i16) -> Offered {
        let mut range = ApiVersion::default();
        (range.api_key, range.min_version, range.max_version) = (api as i16, min, max);
        Offered::new(&ApiVersionsResponse::default().with_api_keys(vec![range]))
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        assert_eq!(offers(ApiKey::Fetch, 4, 18).best::<FetchRequest>(), Some(12));
        assert_eq!(offers(ApiKey::Fetch, 0, 10).best::<FetchRequest>(), Some(10));
    }

    #[test]
    fn no_common_version_is_said() {
        let offered = offers(ApiKey::Fetch, 13, 18);
        assert_eq!(offered.best::<FetchRequest>(), None);
        assert!(offered.has(ApiKey::Fetch) && !offered.has(ApiKey::Produce));
        assert_eq!(
            offered.describe::<FetchRequest>(),
            "Fetch is there in versions 13 to 18, versions 4 to 12 are needed"
        );
        assert_eq!(offered.describe::<ProduceRequest>(), "Produce is missing");
    }
}
