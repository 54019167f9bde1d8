//! Versions, names, logins, and another client.

use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, MetadataRequest, ResponseHeader,
    SaslHandshakeRequest,
};
use kafka_protocol::protocol::Decodable;

use super::Subject;
use super::raw::text;
use crate::common::{Produce, TestRecord};
use crate::fake::OFFERED;

const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;
const ILLEGAL_SASL_STATE: i16 = 34;

fn range(answer: &ApiVersionsResponse, api: ApiKey) -> Option<(i16, i16)> {
    let found = answer.api_keys.iter().find(|range| range.api_key == api as i16)?;
    Some((found.min_version, found.max_version))
}

pub(super) async fn what_we_speak_is_offered(subject: &Subject) {
    let asked = ApiVersionsRequest::default()
        .with_client_software_name(text("conformance"))
        .with_client_software_version(text("1.0"));
    for version in 0..=4 {
        let asked = if version < 3 { ApiVersionsRequest::default() } else { asked.clone() };
        let answer = subject.raw().await.ask(version, &asked).await;
        assert_eq!(answer.error_code, 0, "version {version}");
        for (api, min, max) in OFFERED {
            let (least, most) = range(&answer, *api).unwrap_or_else(|| panic!("no {api:?}"));
            assert!(least <= *min && *max <= most, "{api:?}: {least} to {most}, not {min} to {max}");
        }
    }
}

pub(super) async fn an_unknown_version_of_api_versions_is_answered_in_version_0(subject: &Subject) {
    let mut raw = subject.raw().await;
    raw.send_bytes((ApiKey::ApiVersions as i16, 99), 2, &[]).await;
    let mut body = raw.frame().await.unwrap();
    ResponseHeader::decode(&mut body, 0).unwrap();
    let answer = ApiVersionsResponse::decode(&mut body, 0).unwrap();
    assert_eq!(answer.error_code, UNSUPPORTED_VERSION);
    assert_eq!(range(&answer, ApiKey::ApiVersions), Some((0, 4)));
    // The connection lives.
    assert_eq!(raw.ask(0, &ApiVersionsRequest::default()).await.error_code, 0);
}

pub(super) async fn an_unknown_version_of_another_call_ends_the_connection(subject: &Subject) {
    for (api, version) in [(ApiKey::Metadata as i16, 99), (ApiKey::Fetch as i16, 3), (999, 0)] {
        let mut raw = subject.raw().await;
        raw.send_bytes((api, version), 1, &[0; 16]).await;
        assert!(raw.frame().await.is_none(), "call {api}, version {version}");
    }
    // A body that is none.
    let mut raw = subject.raw().await;
    raw.send_bytes((ApiKey::Metadata as i16, 12), 2, &[0xff; 3]).await;
    assert!(raw.frame().await.is_none());
}

pub(super) async fn names_of_clients_are_checked(subject: &Subject) {
    for (name, version) in [("", "1.0"), ("conformance", ""), ("-x", "1"), ("a b", "1"), ("x", "1.")] {
        let asked = ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(version));
        let answer = subject.raw().await.ask(3, &asked).await;
        assert_eq!(answer.error_code, INVALID_REQUEST, "`{name}` `{version}`");
    }
}

pub(super) async fn nobody_logs_in_over_plaintext(subject: &Subject) {
    let asked = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
    let answer = subject.raw().await.ask(1, &asked).await;
    assert_eq!((answer.error_code, answer.mechanisms.len()), (ILLEGAL_SASL_STATE, 0));
}

pub(super) async fn rights_are_told_without_acls(subject: &Subject) {
    let topic = subject.topic(1, &[]).await;
    let rights = subject.wire.topic_rights(&[topic.as_str().into()]).await.unwrap();
    let rights = rights[0].1.as_ref().unwrap();
    let all = [rights.read, rights.write, rights.describe, rights.create, rights.alter];
    assert_eq!(all, [Some(true); 5]);
    assert_eq!((rights.describe_configs, rights.alter_configs), (Some(true), Some(true)));

    let mut raw = subject.raw().await;
    let asked = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    let answer = raw.ask(1, &asked).await;
    assert_eq!(answer.cluster_authorized_operations, 0b1_1111_1010_0000);
    let silent = raw.ask(1, &DescribeClusterRequest::default()).await;
    assert_eq!(silent.cluster_authorized_operations, i32::MIN);
    assert_eq!(raw.ask(1, &asked.clone().with_endpoint_type(2)).await.error_code, 114);
    let metadata = raw.ask(12, &MetadataRequest::default().with_topics(Some(Vec::new()))).await;
    assert_eq!(metadata.cluster_id, Some(answer.cluster_id));
    assert_eq!(metadata.controller_id, answer.controller_id);
    let brokers = |brokers: &[i32]| brokers.to_vec();
    assert_eq!(brokers(&answer.brokers.iter().map(|broker| broker.broker_id.0).collect::<Vec<_>>()), [1]);
    assert_eq!(metadata.brokers.iter().map(|broker| broker.node_id.0).collect::<Vec<_>>(), [1]);
}

pub(super) async fn librdkafka_writes_and_reads(subject: &Subject) {
    let topic = subject.topic(2, &[]).await;
    let client = subject.rdkafka().with("enable.idempotence", "true");
    let records = TestRecord::numbered(300);
    let written =
        client.produce_with(&topic, 1, records, Produce::new().codec("lz4").batch_records(50)).await;
    assert_eq!(written, (0..300).collect::<Vec<_>>());
    let read = client.consume_all(&topic).await;
    assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [0, 300]);
    assert!(read[1].iter().map(|record| record.offset).eq(0..300));
    client.commit("conformance", &[(&topic, 1, 17, "by librdkafka")]).await;
    assert_eq!(client.committed("conformance", &topic).await, [None, Some(17)]);
}
