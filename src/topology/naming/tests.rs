use proptest::prelude::*;

use super::*;

fn prefix(separator: &str) -> Naming {
    let spec = NamingSpec { policy: PolicyKind::Prefix, separator: separator.into() };
    Naming::from_spec(&spec, &Alias::from("A"))
}

fn identity() -> Naming {
    let spec = NamingSpec { policy: PolicyKind::Identity, separator: ".".into() };
    Naming::from_spec(&spec, &Alias::from("A"))
}

fn source(naming: &Naming, topic: &str) -> Option<String> {
    naming.source_of(topic).map(|alias| alias.as_str().to_owned())
}

#[test]
fn prefix_names_carry_the_source() {
    let naming = prefix(".");
    assert_eq!(naming.remote_name(&"orders".into()).as_str(), "A.orders");
    assert_eq!(naming.remote_name(&"B.orders".into()).as_str(), "A.B.orders");
    assert_eq!(source(&naming, "A.orders").as_deref(), Some("A"));
    assert_eq!(source(&naming, "orders"), None);
    assert_eq!(naming.upstream_of("B.A.orders").unwrap().as_str(), "A.orders");
    assert_eq!(naming.original_of("B.A.orders").as_str(), "orders");
    assert_eq!(naming.hops("B.A.orders"), 2);
}

#[test]
fn empty_segments_are_split_as_java_does() {
    let naming = prefix(".");
    assert_eq!(source(&naming, "orders."), None);
    assert_eq!(source(&naming, "orders.."), None);
    assert_eq!(source(&naming, "."), None);
    assert_eq!(source(&naming, ".orders").as_deref(), Some(""));
    assert_eq!(source(&naming, "a..b").as_deref(), Some("a"));
    assert_eq!(naming.upstream_of("a..b").unwrap().as_str(), ".b");
    assert_eq!(source(&prefix("__"), "a___").as_deref(), Some("a"));
}

#[test]
fn other_separators_are_taken_literally() {
    let naming = prefix("__");
    assert_eq!(naming.remote_name(&"orders.v1".into()).as_str(), "A__orders.v1");
    assert_eq!(source(&naming, "orders.v1"), None);
    assert_eq!(source(&naming, "A__orders").as_deref(), Some("A"));
}

#[test]
fn identity_keeps_names_but_those_of_heartbeats() {
    let naming = identity();
    assert_eq!(naming.remote_name(&"orders".into()).as_str(), "orders");
    assert_eq!(source(&naming, "orders").as_deref(), Some("A"));
    assert_eq!(naming.upstream_of("orders").unwrap().as_str(), "orders");
    assert_eq!(naming.original_of("B.orders").as_str(), "B.orders");
    assert_eq!(naming.hops("B.orders"), 0);
    assert_eq!(naming.remote_name(&"heartbeats".into()).as_str(), "A.heartbeats");
    assert_eq!(source(&naming, "B.heartbeats").as_deref(), Some("B"));
    assert_eq!(source(&naming, "heartbeats"), None);
    assert!(naming.is_heartbeats("C.B.heartbeats"));
    assert!(!naming.is_heartbeats("my-heartbeats"));
}

#[test]
fn internal_topics_are_known_under_both_policies() {
    for naming in [prefix("."), identity()] {
        for topic in [
            "__consumer_offsets",
            "__mirrormesh-positions.A",
            "A.__mirrormesh-positions.B",
            "B.A.__mirrormesh-offsets.C",
            ".hidden",
            "mm2-offset-syncs.B.internal",
            "mm2-configs.A.internal",
            "mm2-offsets.A.internal",
            "mm2-status.A.internal",
            "A.checkpoints.internal",
            "B.A.checkpoints.internal",
            "A.mm2-offset-syncs.B.internal",
        ] {
            assert!(naming.is_internal(topic), "{topic} under {:?}", naming.policy());
        }
        for topic in
            ["orders", "A.orders", "orders.internal", "heartbeats", "A.heartbeats", "x-internal", "mm2"]
        {
            assert!(!naming.is_internal(topic), "{topic} under {:?}", naming.policy());
        }
    }
}

#[test]
fn internal_topics_follow_the_separator() {
    let naming = prefix("_");
    assert!(naming.is_checkpoints("A_checkpoints_internal"));
    assert!(naming.is_mm2_internal("mm2-offset-syncs_B_internal"));
    assert!(naming.is_mm2_internal("mm2-configs.A.internal"));
    assert!(!naming.is_checkpoints("A_checkpointsinternal"));
    assert!(!prefix(".").is_checkpoints("A_checkpoints_internal"));
}

proptest! {
    #[test]
    fn a_remote_name_leads_back(topic in "[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,30}[a-zA-Z0-9_-]", alias in "[a-z0-9-]{1,8}") {
        let spec = NamingSpec { policy: PolicyKind::Prefix, separator: ".".into() };
        let naming = Naming::from_spec(&spec, &Alias::from(alias.as_str()));
        let remote = naming.remote_name(&TopicName::from(topic.as_str()));
        prop_assert_eq!(naming.source_of(remote.as_str()), Some(Alias::from(alias.as_str())));
        let upstream = naming.upstream_of(remote.as_str()).unwrap();
        prop_assert_eq!(upstream.as_str(), topic.as_str());
        prop_assert_eq!(naming.original_of(remote.as_str()), naming.original_of(&topic));
        prop_assert_eq!(naming.hops(remote.as_str()), naming.hops(&topic) + 1);
    }

    #[test]
    fn what_we_keep_for_ourselves_is_internal_anywhere(front in "([a-z]{1,5}[._-]){0,4}", rest in "[a-z.]{0,10}") {
        let topic = format!("{front}{OWN_TOPIC_PREFIX}{rest}");
        prop_assert!(prefix(".").is_internal(&topic));
        prop_assert!(identity().is_internal(&topic));
    }
}
