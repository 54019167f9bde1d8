//! From checked values to the typed topology.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};

use crate::model::{Alias, FlowName};
use crate::topology::{
    ClusterSpec, FlowSpec, GroupsSpec, HeartbeatSpec, HttpSpec, NamingSpec, OtlpSpec, ProcessSpec,
    ReplicationFactor, StartPoint, TelemetrySpec, TopicConfigSpec, Topology,
};

use super::keys::{Key, Kind, ROOT, Shape, find};
use super::problem::Origin;
use super::tree::{Leaf, Parsed, Tree};
use super::values;

/// Builds the topology. What was wrong or missing is at its built-in default; the caller has the problems.
pub(crate) fn topology(tree: &Tree) -> Topology {
    let empty = Tree::Branch(BTreeMap::new());
    let defaults = tree.at(&["defaults"]).unwrap_or(&empty);
    let process = ValuesView { first: tree, second: None };
    Topology {
        mesh: process.text(&["mesh"]).unwrap_or_default(),
        clusters: named(tree, "clusters")
            .map(|(name, cluster)| (Alias::from(name), cluster_spec(name, cluster)))
            .collect(),
        flows: named(tree, "flows")
            .map(|(name, flow)| {
                (FlowName::from(name), flow_spec(name, &ValuesView { first: flow, second: Some(defaults) }))
            })
            .collect(),
        process: process_spec(&process),
    }
}

/// What stands below a map of names.
pub(crate) fn named<'a>(tree: &'a Tree, key: &str) -> impl Iterator<Item = (&'a str, &'a Tree)> {
    tree.at(&[key]).into_iter().flat_map(Tree::branches)
}

fn cluster_spec(name: &str, tree: &Tree) -> ClusterSpec {
    let view = ValuesView { first: tree, second: None };
    ClusterSpec {
        alias: Alias::from(name),
        bootstrap: view.texts(&["bootstrap"]),
        region: view.text(&["region"]),
    }
}

fn flow_spec(name: &str, view: &ValuesView<'_>) -> FlowSpec {
    let start = view.leaf(&["start"]);
    FlowSpec {
        name: FlowName::from(name),
        from: Alias::from(view.text(&["from"]).unwrap_or_default()),
        to: Alias::from(view.text(&["to"]).unwrap_or_default()),
        topics: view.texts(&["topics"]),
        exclude: view.texts(&["exclude"]),
        naming: NamingSpec {
            policy: view.word(&["naming"]),
            separator: view.text(&["separator"]).unwrap_or_default(),
        },
        start: match view.parsed(&["start"]) {
            Some(Parsed::Moment(millis)) => StartPoint::Timestamp(millis),
            Some(Parsed::Word("latest")) => StartPoint::Latest,
            _ => StartPoint::Earliest,
        },
        start_is_explicit: start.is_some_and(|leaf| leaf.origin != Origin::Default),
        isolation: view.word(&["isolation"]),
        replication_factor: match view.parsed(&["replication_factor"]) {
            Some(Parsed::Integer(number)) => {
                ReplicationFactor::Fixed(i16::try_from(number).expect("the kind allows only what fits"))
            }
            Some(Parsed::Word("source")) => ReplicationFactor::Source,
            _ => ReplicationFactor::BrokerDefault,
        },
        max_hops: u32::try_from(view.integer(&["max_hops"])).expect("the kind allows only small numbers"),
        on_source_reset: view.word(&["on_source_reset"]),
        on_target_reset: view.word(&["on_target_reset"]),
        engine: view.word(&["engine"]),
        codec: view.word(&["codec"]),
        codec_is_explicit: view.leaf(&["codec"]).is_some_and(|leaf| leaf.origin != Origin::Default),
        topic_configs: TopicConfigSpec {
            enabled: view.flag(&["topic_configs", "enabled"]),
            interval: view.duration(&["topic_configs", "interval"]),
            exclude: view.texts(&["topic_configs", "exclude"]),
            use_defaults_from: view.word(&["topic_configs", "use_defaults_from"]),
        },
        heartbeats: HeartbeatSpec {
            enabled: view.flag(&["heartbeats", "enabled"]),
            interval: view.duration(&["heartbeats", "interval"]),
        },
        groups: GroupsSpec {
            enabled: view.flag(&["groups", "enabled"]),
            include: view.texts(&["groups", "include"]),
            exclude: view.texts(&["groups", "exclude"]),
            interval: view.duration(&["groups", "interval"]),
            sync: view.flag(&["groups", "sync"]),
        },
        offset_syncs: view.word(&["offset_syncs"]),
    }
}

fn process_spec(view: &ValuesView<'_>) -> ProcessSpec {
    ProcessSpec {
        discovery_interval: view.duration(&["discovery", "interval"]),
        positions_interval: view.duration(&["positions", "interval"]),
        memory_budget_bytes: view.size(&["memory", "budget"]),
        offsets_memory_bytes: view.size(&["offsets", "memory"]),
        shutdown_timeout: view.duration(&["shutdown", "timeout"]),
        http: HttpSpec {
            listen: match view.parsed(&["http", "listen"]) {
                Some(Parsed::Listen(address)) => address,
                _ => None,
            },
        },
        telemetry: TelemetrySpec {
            log_format: view.word(&["telemetry", "log", "format"]),
            log_filter: view.text(&["telemetry", "log", "filter"]).unwrap_or_default(),
            per_partition: view.flag(&["telemetry", "per_partition"]),
            otlp: view.text(&["telemetry", "otlp", "endpoint"]).map(|endpoint| OtlpSpec {
                endpoint,
                interval: view.duration(&["telemetry", "otlp", "interval"]),
            }),
        },
    }
}

/// Values of one place, with a second place to look at: a flow and the defaults of flows.
pub(crate) struct ValuesView<'a> {
    pub first: &'a Tree,
    pub second: Option<&'a Tree>,
}

impl<'a> ValuesView<'a> {
    /// The value at a path, wherever it was set.
    pub(crate) fn leaf(&self, path: &[&str]) -> Option<&'a Leaf> {
        self.first.leaf(path).or_else(|| self.second?.leaf(path))
    }

    fn parsed(&self, path: &[&str]) -> Option<Parsed> {
        self.leaf(path).map(|leaf| leaf.parsed.clone()).or_else(|| built_in(path, self.second.is_some()))
    }

    fn text(&self, path: &[&str]) -> Option<String> {
        match self.parsed(path) {
            Some(Parsed::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn texts(&self, path: &[&str]) -> Vec<String> {
        match self.parsed(path) {
            Some(Parsed::Texts(texts)) => texts,
            _ => Vec::new(),
        }
    }

    fn flag(&self, path: &[&str]) -> bool {
        self.parsed(path) == Some(Parsed::Flag(true))
    }

    fn duration(&self, path: &[&str]) -> Duration {
        match self.parsed(path) {
            Some(Parsed::Duration(length)) => length,
            _ => Duration::ZERO,
        }
    }

    fn size(&self, path: &[&str]) -> u64 {
        match self.parsed(path) {
            Some(Parsed::Size(bytes)) => bytes,
            _ => 0,
        }
    }

    fn integer(&self, path: &[&str]) -> i64 {
        match self.parsed(path) {
            Some(Parsed::Integer(number)) => number,
            _ => 0,
        }
    }

    /// A word of a choice as its type; the words of the table and of the types are the same, a test sees to it.
    fn word<T: for<'de> Deserialize<'de>>(&self, path: &[&str]) -> T {
        let Some(Parsed::Word(word)) = self.parsed(path) else {
            panic!("{path:?} is a choice with a built-in default");
        };
        let word: StrDeserializer<'_, WordError> = word.into_deserializer();
        T::deserialize(word).expect("the table of keys has the words of the types")
    }
}

/// The built-in value of a key, for where a wrong one was left out.
fn built_in(path: &[&str], of_flow: bool) -> Option<Parsed> {
    let top: &'static [Key] = match (of_flow, find(ROOT, "defaults")) {
        (true, Some(Key { shape: Shape::Section(keys), .. })) => keys,
        _ => ROOT,
    };
    let (mut keys, mut parent) = (top, "");
    for name in path {
        let key = find(keys, name)?;
        match key.shape {
            Shape::Section(below) => (keys, parent) = (below, key.name),
            Shape::Value(kind) => return parse_built_in(kind, &key.built_in(parent)?),
            Shape::Named(_) | Shape::Settings => return None,
        }
    }
    None
}

fn parse_built_in(kind: Kind, texts: &[&str]) -> Option<Parsed> {
    let value = match texts {
        [one] => figment::value::Value::from(*one),
        several => figment::value::Value::from(several),
    };
    values::read(kind, &value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_default(keys: &'static [Key], parent: &str) {
        for key in keys {
            match key.shape {
                Shape::Section(below) => each_default(below, key.name),
                Shape::Named(below) => each_default(below, ""),
                Shape::Value(kind) => {
                    if let Some(texts) = key.built_in(parent) {
                        assert!(parse_built_in(kind, &texts).is_some(), "{parent}.{}: {texts:?}", key.name);
                    }
                }
                Shape::Settings => {}
            }
        }
    }

    #[test]
    fn every_built_in_value_is_allowed() {
        each_default(ROOT, "");
    }

    #[test]
    fn every_word_of_a_choice_has_its_type() {
        fn check<T: for<'de> Deserialize<'de>>(path: &[&str], of_flow: bool) {
            let (mut keys, mut words) = (ROOT, None);
            let path: Vec<&str> =
                of_flow.then_some("defaults").into_iter().chain(path.iter().copied()).collect();
            for name in &path {
                match find(keys, name).unwrap().shape {
                    Shape::Section(below) => keys = below,
                    Shape::Value(Kind::Choice(choice)) => words = Some(choice),
                    _ => panic!("{path:?} is not a choice"),
                }
            }
            for word in words.unwrap() {
                let word: StrDeserializer<'_, WordError> = word.into_deserializer();
                assert!(T::deserialize(word).is_ok(), "{path:?}");
            }
        }
        use crate::model::Codec;
        use crate::topology::{
            DefaultsFrom, EngineSpec, Isolation, LogFormat, OffsetSyncsOn, PolicyKind, ResetPolicy,
            TargetResetPolicy,
        };
        check::<PolicyKind>(&["naming"], true);
        check::<Isolation>(&["isolation"], true);
        check::<ResetPolicy>(&["on_source_reset"], true);
        check::<TargetResetPolicy>(&["on_target_reset"], true);
        check::<EngineSpec>(&["engine"], true);
        check::<Codec>(&["codec"], true);
        check::<OffsetSyncsOn>(&["offset_syncs"], true);
        check::<DefaultsFrom>(&["topic_configs", "use_defaults_from"], true);
        check::<LogFormat>(&["telemetry", "log", "format"], false);
    }
}
