use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::model::FlowName;
use crate::topology::testing::mesh;

use super::*;

fn selector(topology: &Topology, flow: &str) -> Selector {
    Selector::new(&topology.flows[&FlowName::from(flow)], topology).unwrap()
}

fn taken(selector: &Selector, topic: &str) -> Option<String> {
    selector.select(&topic.into(), false).remote().map(|remote| remote.as_str().to_owned())
}

fn reason(selector: &Selector, topic: &str) -> String {
    match selector.select(&topic.into(), false) {
        Choice::Leave { reason } => reason.to_string(),
        Choice::Take { remote, rule } => panic!("{topic} is taken as {remote} by {rule}"),
    }
}

#[test]
fn everything_but_inner_workings_is_taken_by_default() {
    let topology = mesh(&[("A", "B", "")]);
    let selector = selector(&topology, "A-B");
    assert_eq!(taken(&selector, "orders").as_deref(), Some("A.orders"));
    assert_eq!(taken(&selector, "user.internal").as_deref(), Some("A.user.internal"));
    assert_eq!(taken(&selector, "C.orders").as_deref(), Some("A.C.orders"));
    assert!(reason(&selector, "__consumer_offsets").contains("Kafka's own"));
    assert!(reason(&selector, "mm2-configs.B.internal").contains("MirrorMaker 2's own"));
    assert!(reason(&selector, "B.checkpoints.internal").contains("MirrorMaker 2's own"));
    assert!(reason(&selector, "orders.replica").contains(r".*\.replica"));
    assert!(reason(&selector, "connect-offsets").contains("connect-(configs|offsets|status)"));
    assert_eq!(
        selector.select(&"odd".into(), true),
        Choice::Leave { reason: LeaveReason::Internal { what: "Kafka's own" } }
    );
}

#[test]
fn our_own_topics_stay_whatever_the_patterns_say() {
    let topology = mesh(&[
        ("A", "B", "topics: ['.*', '__mirrormesh-.*'], exclude: []"),
        ("C", "B", "naming: identity, exclude: []"),
    ]);
    for flow in ["A-B", "C-B"] {
        for topic in ["__mirrormesh-positions.A", "A.__mirrormesh-offsets.B", "x.y.__mirrormesh-positions.z"]
        {
            assert!(reason(&selector(&topology, flow), topic).contains("MirrorMesh's own"), "{topic}");
        }
    }
}

#[test]
fn exclude_wins_and_reasons_name_the_pattern() {
    let topology = mesh(&[("A", "B", r"topics: [orders, 'pay.*'], exclude: ['.*-tmp']")]);
    let selector = selector(&topology, "A-B");
    assert_eq!(
        selector.select(&"payments".into(), false),
        Choice::Take { remote: "A.payments".into(), rule: "pay.*".into() }
    );
    assert_eq!(reason(&selector, "pay-tmp"), "excluded by pattern `.*-tmp`");
    assert_eq!(reason(&selector, "other"), "no pattern of `topics` matches");
}

#[test]
fn heartbeats_are_taken_unless_switched_off() {
    let topology = mesh(&[
        ("A", "B", "topics: [orders], exclude: ['.*']"),
        ("B", "C", "topics: [orders], heartbeats: { enabled: false }"),
        ("A", "C", "topics: [orders], naming: identity"),
    ]);
    let on = selector(&topology, "A-B");
    assert_eq!(
        on.select(&"heartbeats".into(), false),
        Choice::Take { remote: "A.heartbeats".into(), rule: "heartbeats".into() }
    );
    assert_eq!(taken(&on, "C.heartbeats").as_deref(), Some("A.C.heartbeats"));
    assert!(reason(&on, "B.heartbeats").starts_with("cycle"));
    assert_eq!(taken(&selector(&topology, "B-C"), "heartbeats"), None);
    let identity = selector(&topology, "A-C");
    assert_eq!(taken(&identity, "heartbeats").as_deref(), Some("A.heartbeats"));
    assert!(reason(&identity, "B.C.heartbeats").starts_with("cycle"));
}

#[test]
fn topics_that_have_been_here_or_there_are_left() {
    let topology = mesh(&[("A", "B", ""), ("B", "A", "")]);
    let selector = selector(&topology, "A-B");
    assert_eq!(reason(&selector, "B.orders"), "cycle: the name says it has been on B already (B)");
    assert_eq!(reason(&selector, "C.B.orders"), "cycle: the name says it has been on B already (B → C)");
    // Another deployment may call the source by our name for it (KAFKA-9914).
    assert!(reason(&selector, "C.A.orders").contains("been on A"));
    assert_eq!(taken(&selector, "C.orders").as_deref(), Some("A.C.orders"));
}

#[test]
fn prefixes_are_known_whatever_the_separators() {
    // Each flow has its own separator; one alias has a separator in it; one flow adds nothing.
    let topology = mesh(&[
        ("a", "b", "separator: '.'"),
        ("b", "a", "separator: '_'"),
        ("b", "x.y", "naming: identity"),
        ("x.y", "a", ""),
        ("a", "x.y", "separator: '-'"),
    ]);
    assert!(reason(&selector(&topology, "b-a"), "a.orders").starts_with("cycle"));
    assert!(reason(&selector(&topology, "x.y-a"), "a.orders").starts_with("cycle"), "through identity");
    assert!(reason(&selector(&topology, "a-x.y"), "x.y.orders").starts_with("cycle"));
    assert_eq!(taken(&selector(&topology, "b-x.y"), "a.orders").as_deref(), Some("a.orders"));
}

#[test]
fn hops_are_bounded_and_local_dots_are_no_hops() {
    let topology = mesh(&[("A", "B", ""), ("B", "C", ""), ("C", "D", "max_hops: 2")]);
    let selector = selector(&topology, "C-D");
    assert_eq!(taken(&selector, "B.orders").as_deref(), Some("C.B.orders"));
    assert_eq!(reason(&selector, "B.A.orders"), "3 hops, more than max_hops allows (2)");
    assert!(taken(&selector, "com.shop.orders.placed.v1").is_some());
}

#[test]
fn names_that_kafka_refuses_are_left() {
    let topology = mesh(&[("A", "B", "")]);
    let reason = reason(&selector(&topology, "A-B"), &"x".repeat(248));
    assert!(reason.contains("has 250 characters"), "{reason}");
}

#[test]
fn a_pattern_that_gives_up_is_told() {
    let topology = mesh(&[("A", "B", r"topics: ['(?:(a+)\1?)+b']")]);
    let choice = selector(&topology, "A-B").select(&"a".repeat(100).as_str().into(), false);
    let Choice::Leave { reason } = choice else { panic!("taken") };
    assert!(reason.is_problem() && reason.to_string().contains("too many steps"), "{reason}");
}

/// What MirrorMaker 2 4.4 does under `prefix`, straight from its description.
fn brute_force_cycle(topic: &str, from: &str, to: &str) -> bool {
    let mut rest = topic;
    loop {
        let segments: Vec<&str> = rest.split('.').collect();
        let kept = segments.iter().rposition(|segment| !segment.is_empty()).map_or(0, |last| last + 1);
        if kept < 2 {
            return false;
        }
        if segments[0] == from || segments[0] == to {
            return true;
        }
        rest = &rest[segments[0].len() + 1..];
    }
}

proptest! {
    #[test]
    fn cycles_are_those_of_mirror_maker(topic in "((A|B|C|x|)\\.){0,5}(orders|A|)") {
        static SELECTOR: LazyLock<Selector> = LazyLock::new(|| {
            let topology = mesh(&[("A", "B", "exclude: []")]);
            // Without its flows the mesh knows no more than the names say.
            let nobody = Topology { flows: BTreeMap::new(), ..topology.clone() };
            Selector::new(&topology.flows[&FlowName::from("A-B")], &nobody).unwrap()
        });
        prop_assume!(!topic.is_empty() && !topic.starts_with('.'));
        let choice = SELECTOR.select(&topic.as_str().into(), false);
        let left = matches!(choice, Choice::Leave { reason: LeaveReason::Cycle { .. } });
        prop_assert_eq!(left, brute_force_cycle(&topic, "A", "B"));
    }

    #[test]
    fn no_topic_returns_to_where_it_was(
        steps in prop::collection::vec(0_usize..6, 1..12),
        separators in prop::collection::vec(0_usize..3, 6),
    ) {
        // A topic wanders along random prefix flows between three clusters with random separators.
        static MESH: LazyLock<Topology> = LazyLock::new(|| {
            mesh(&ENDS.map(|(from, to)| (from, to, "exclude: []")))
        });
        let mut topology = MESH.clone();
        for (flow, separator) in topology.flows.values_mut().zip(separators) {
            flow.naming.separator = [".", "_", "--"][separator].to_owned();
        }
        let selectors = ENDS.map(|(from, to)| selector(&topology, &format!("{from}-{to}")));
        let (mut at, mut name, mut been) = ("a", TopicName::from("orders"), vec!["a"]);
        for step in steps {
            let (from, to) = ENDS[step];
            if from != at {
                continue;
            }
            match selectors[step].select(&name, false) {
                Choice::Take { remote, .. } => {
                    prop_assert!(!been.contains(&to), "{} came back to {to} as {remote}", name);
                    (at, name) = (to, remote);
                    been.push(to);
                }
                Choice::Leave { .. } => prop_assert!(been.contains(&to), "{name} never was on {to}"),
            }
        }
    }
}

const ENDS: [(&str, &str); 6] = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("a", "c"), ("c", "a")];
