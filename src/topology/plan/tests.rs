use proptest::prelude::*;

use crate::model::ConfigSource;
use crate::topology::testing::mesh;
use crate::topology::topic_config::TIMESTAMP_AFTER;
use crate::topology::{DefaultsFrom, TopicConfigSpec};

use super::*;

fn entry(name: &str, value: &str, source: ConfigSource) -> ConfigEntry {
    ConfigEntry { name: name.into(), value: Some(value.into()), source, read_only: false, sensitive: false }
}

fn set(name: &str, value: &str) -> ConfigEntry {
    entry(name, value, ConfigSource::Topic)
}

fn default(name: &str, value: &str) -> ConfigEntry {
    entry(name, value, ConfigSource::Default)
}

fn source(name: &str, partitions: i32, configs: Vec<ConfigEntry>) -> SourceTopic {
    SourceTopic { name: name.into(), partitions, internal: false, replication_factor: 3, configs }
}

fn target(name: &str, partitions: i32, configs: Vec<ConfigEntry>) -> TargetTopic {
    TargetTopic { name: name.into(), partitions, configs }
}

fn plan(more: &str, source: &[SourceTopic], target: &[TargetTopic]) -> FlowPlan {
    let topology = mesh(&[("A", "B", more)]);
    flow_plan(&topology.flows["A-B"], &topology, source, target, 2).unwrap()
}

fn rules(from: DefaultsFrom) -> ConfigRules {
    let exclude = crate::topology::DEFAULT_CONFIG_EXCLUDE.map(str::to_owned).to_vec();
    let interval = std::time::Duration::from_secs(1);
    ConfigRules::new(&TopicConfigSpec { enabled: true, interval, exclude, use_defaults_from: from }).unwrap()
}

fn edit(name: &str, value: &str, was: &str) -> ConfigEdit {
    ConfigEdit::Set { name: name.into(), value: value.into(), was: Some(was.into()) }
}

#[test]
fn a_new_topic_is_created_like_the_source() {
    let configs = vec![
        set("cleanup.policy", "compact"),
        set("min.insync.replicas", "2"),
        set("remote.storage.enable", "true"),
        set("local.retention.ms", "5"),
        set("message.format.version", "2.1"),
        default("retention.ms", "7"),
        entry("segment.bytes", "9", ConfigSource::StaticBroker),
        entry("segment.ms", "9", ConfigSource::DynamicDefaultBroker),
        ConfigEntry { read_only: true, ..set("fixed", "1") },
        ConfigEntry { sensitive: true, ..set("secret", "1") },
    ];
    let plan = plan("", &[source("orders", 6, configs)], &[]);
    let after = (TIMESTAMP_AFTER.to_owned(), "9223372036854775807".to_owned());
    assert_eq!(
        plan.create,
        [Creation {
            topic: "orders".into(),
            remote: "A.orders".into(),
            partitions: 6,
            replication_factor: BROKER_DEFAULT,
            configs: vec![("cleanup.policy".into(), "compact".into()), after],
        }]
    );
    assert_eq!(plan.selected[0].rule, ".*");
    assert!(plan.grow.is_empty() && plan.config_changes.is_empty() && plan.left_out.is_empty());
}

#[test]
fn timestamps_follow_what_applies_on_the_source() {
    for (configs, expected) in [
        (vec![default(TIMESTAMP_AFTER, "3600000")], "3600000"),
        (vec![set(TIMESTAMP_AFTER, "5")], "5"),
        (vec![set("retention.ms", "5")], "9223372036854775807"),
    ] {
        let created = rules(DefaultsFrom::Target).creation(&configs);
        assert_eq!(created.iter().find(|(name, _)| name == TIMESTAMP_AFTER).unwrap().1, expected);
        let there = [default(TIMESTAMP_AFTER, "1"), default("retention.ms", "5")];
        assert_eq!(
            rules(DefaultsFrom::Target).changes(&configs, &there),
            [edit(TIMESTAMP_AFTER, expected, "1")]
        );
        // An old target doesn't know the entry.
        let old = [default("retention.ms", "5")];
        assert_eq!(rules(DefaultsFrom::Target).changes(&configs, &old), []);
    }
}

#[test]
fn only_differences_are_written() {
    let here =
        [set("cleanup.policy", "compact"), set("max.message.bytes", "9"), default("retention.ms", "7")];
    let same =
        [set("cleanup.policy", "compact"), default("max.message.bytes", "9"), default("retention.ms", "8")];
    assert_eq!(rules(DefaultsFrom::Target).changes(&here, &same), []);
    let other = [
        default("cleanup.policy", "delete"),
        set("max.message.bytes", "8"),
        set("retention.ms", "8"),
        set("min.insync.replicas", "2"),
        set("only.here", "1"),
    ];
    assert_eq!(
        rules(DefaultsFrom::Target).changes(&here, &other),
        [
            edit("cleanup.policy", "compact", "delete"),
            edit("max.message.bytes", "9", "8"),
            ConfigEdit::Delete { name: "retention.ms".into(), was: Some("8".into()) }
        ]
    );
}

#[test]
fn defaults_of_the_source_can_be_carried_over() {
    let here = [default("retention.ms", "7"), entry("segment.ms", "3", ConfigSource::StaticBroker)];
    let created = rules(DefaultsFrom::Source).creation(&here);
    assert!(created.contains(&("retention.ms".into(), "7".into())), "{created:?}");
    assert!(created.contains(&("segment.ms".into(), "3".into())), "{created:?}");
    let there = [set("retention.ms", "8"), default("segment.ms", "3")];
    assert_eq!(rules(DefaultsFrom::Source).changes(&here, &there), [edit("retention.ms", "7", "8")]);
}

#[test]
fn what_could_not_be_read_changes_nothing() {
    let there = [set("retention.ms", "8"), default(TIMESTAMP_AFTER, "1")];
    assert_eq!(rules(DefaultsFrom::Target).changes(&[], &there), []);
    let secret = ConfigEntry { sensitive: true, ..set("retention.ms", "8") };
    assert_eq!(
        rules(DefaultsFrom::Target).changes(&[set("retention.ms", "1")], std::slice::from_ref(&secret)),
        []
    );
    assert!(!format!("{secret:?}").contains('8'));
}

#[test]
fn topics_grow_and_never_shrink() {
    let plan = plan(
        "",
        &[source("a", 4, vec![]), source("b", 2, vec![])],
        &[target("A.a", 2, vec![]), target("A.b", 3, vec![])],
    );
    assert_eq!(plan.grow, [Growth { remote: "A.a".into(), from: 2, to: 4 }]);
    assert_eq!(plan.notes, ["A.b has 3 partitions, b on A has 2: the others stay empty"]);
}

#[test]
fn configuration_is_compared_only_if_it_is_followed() {
    let (here, there) = (
        [source("a", 1, vec![set("retention.ms", "1")])],
        [target("A.a", 1, vec![set("retention.ms", "2")])],
    );
    let on = plan("", &here, &there);
    assert_eq!(
        on.config_changes,
        [ConfigChanges { remote: "A.a".into(), edits: vec![edit("retention.ms", "1", "2")] }]
    );
    let off = plan("topic_configs: { enabled: false }", &here, &there);
    assert_eq!(off.config_changes, []);
}

#[test]
fn replicas_follow_the_source_as_far_as_there_are_brokers() {
    let here = [source("a", 1, vec![])];
    let followed = plan("replication_factor: source", &here, &[]);
    assert_eq!(followed.create[0].replication_factor, 2);
    assert_eq!(followed.notes, ["A.a gets 2 replicas, not 3 as on A: B has no more brokers"]);
    assert_eq!(plan("replication_factor: 5", &here, &[]).create[0].replication_factor, 5);
}

#[test]
fn names_that_kafka_takes_for_the_same_collide() {
    let names = ["a.b", "a_b", "c.d"];
    let here: Vec<_> = names.iter().map(|name| source(name, 1, vec![])).collect();
    let plan = plan("", &here, &[target("A_c_d", 1, vec![])]);
    let left: Vec<&str> = plan.left_out.iter().map(|left| left.topic.as_str()).collect();
    assert_eq!(left, ["a_b", "c.d"]);
    assert!(
        plan.left_out[0].is_problem && plan.left_out[0].reason.contains("collides with A.a.b"),
        "{:?}",
        plan.left_out
    );
    assert_eq!(plan.create.len(), 1);
}

#[test]
fn what_is_left_out_says_why() {
    let mut internal = source("strange", 1, vec![]);
    internal.internal = true;
    let here = [source("__mirrormesh-positions.C", 1, vec![]), source("B.x", 1, vec![]), internal];
    let reasons: Vec<String> = plan("", &here, &[]).left_out.into_iter().map(|left| left.reason).collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons[0].starts_with("cycle"), "{reasons:?}");
    assert!(reasons[1].contains("MirrorMesh's own") && reasons[2].contains("Kafka's own"), "{reasons:?}");
}

proptest! {
    /// Applying the changes brings the target to where no change is left.
    #[test]
    fn changes_settle(
        here in prop::collection::btree_map("[a-d]", (0_u8..3, any::<bool>()), 1..4),
        there in prop::collection::btree_map("[a-d]", (0_u8..3, any::<bool>()), 0..4),
        carried in any::<bool>(),
    ) {
        let list = |map: &std::collections::BTreeMap<String, (u8, bool)>| -> Vec<ConfigEntry> {
            let made = map.iter().map(|(name, (value, set_here))| {
                let source = if *set_here { ConfigSource::Topic } else { ConfigSource::Default };
                entry(name, &value.to_string(), source)
            });
            made.collect()
        };
        let (here, mut there) = (list(&here), list(&there));
        let rules = rules(if carried { DefaultsFrom::Source } else { DefaultsFrom::Target });
        for edit in rules.changes(&here, &there) {
            match edit {
                ConfigEdit::Set { name, value, was } => {
                    let now = there.iter_mut().find(|now| now.name == name).unwrap();
                    prop_assert_eq!(&now.value, &was);
                    prop_assert_ne!(now.value.as_ref(), Some(&value));
                    *now = set(&name, &value);
                }
                ConfigEdit::Delete { name, .. } => {
                    let now = there.iter_mut().find(|now| now.name == name).unwrap();
                    prop_assert!(!now.is_default());
                    *now = default(&name, "default");
                }
            }
        }
        prop_assert_eq!(rules.changes(&here, &there), []);
    }
}
