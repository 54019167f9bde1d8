use std::sync::LazyLock;

use proptest::prelude::*;

use crate::topology::routes::routes;
use crate::topology::testing::mesh;

use super::*;

fn found(topology: &Topology) -> Vec<Finding> {
    findings(topology, &routes(topology))
}

fn codes(topology: &Topology) -> Vec<&'static str> {
    found(topology).iter().map(|finding| finding.code).collect()
}

/// A mesh that `config::load` would refuse: its flows are changed afterwards.
fn all_identity(flows: &[(&str, &str, &str)]) -> Topology {
    let mut topology = mesh(flows);
    for flow in topology.flows.values_mut() {
        flow.naming.policy = PolicyKind::Identity;
    }
    topology
}

#[test]
fn sound_meshes_have_no_findings() {
    for flows in [
        &[("a", "b", "")][..],
        &[("a", "b", ""), ("b", "a", "")],
        &[("a", "b", ""), ("b", "c", ""), ("c", "d", "")],
        &[("a", "h", ""), ("b", "h", ""), ("h", "z", r"topics: ['[ab]\..*']")],
    ] {
        assert_eq!(found(&mesh(flows)), [], "{flows:?}");
    }
}

#[test]
fn an_identity_cycle_is_an_error_that_names_the_path() {
    let topology = all_identity(&[("a", "b", ""), ("b", "c", ""), ("c", "a", "")]);
    let findings = found(&topology);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].is_error);
    assert_eq!(findings[0].code, "identity_cycle");
    assert!(findings[0].message.contains("a → b → c → a"), "{}", findings[0].message);
    assert!(findings[0].message.contains("a-b, b-c, c-a"), "{}", findings[0].message);
}

#[test]
fn identity_flows_with_topics_apart_are_no_cycle() {
    for (there, back) in [
        ("topics: ['us-.*']", "topics: ['eu-.*']"),
        ("topics: [orders, payments]", "topics: [prices]"),
        ("topics: ['.*']", "topics: [orders], exclude: [orders]"),
    ] {
        let topology = all_identity(&[("us", "eu", there), ("eu", "us", back)]);
        assert!(!codes(&topology).contains(&"identity_cycle"), "{there} {back}");
    }
    for (there, back) in [
        ("topics: ['us-.*']", "topics: ['us-.*']"),
        ("topics: [orders, payments]", "topics: ['o.*']"),
        ("topics: ['a|b']", "topics: ['c|d']"),
        ("topics: ['(?i)a.*']", "topics: ['b.*']"),
    ] {
        let topology = all_identity(&[("us", "eu", there), ("eu", "us", back)]);
        assert!(codes(&topology).contains(&"identity_cycle"), "{there} {back}");
    }
}

#[test]
fn one_prefix_flow_opens_the_loop() {
    let topology = mesh(&[("a", "b", "naming: identity"), ("b", "a", "")]);
    let findings = found(&topology);
    assert!(findings.iter().all(|finding| !finding.is_error), "{findings:?}");
    let back = findings.iter().find(|finding| finding.code == "comes_back").expect("it comes back once");
    assert!(back.message.contains("orders of a arrives as b.orders by a → b → a"), "{}", back.message);
}

#[test]
fn two_ways_to_one_cluster_are_told_with_both() {
    let topology = mesh(&[("a", "b", ""), ("b", "c", ""), ("a", "c", "")]);
    let findings = found(&topology);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].code, "diamond");
    assert!(!findings[0].is_error);
    assert!(findings[0].message.contains("a → c and a → b → c"), "{}", findings[0].message);
    assert!(findings[0].message.contains("a.orders and b.a.orders"), "{}", findings[0].message);
    let same = all_identity(&[("a", "b", ""), ("b", "c", ""), ("a", "c", "")]);
    assert!(found(&same).iter().any(|finding| finding.message.contains("written twice into orders")));
}

#[test]
fn a_full_mesh_that_mirrors_its_mirrors_is_told() {
    let aliases = ["a", "b", "c"];
    let flows: Vec<_> = aliases
        .iter()
        .flat_map(|from| aliases.iter().map(move |to| (*from, *to, "")))
        .filter(|(from, to, _)| from != to)
        .collect();
    assert_eq!(codes(&mesh(&flows)), ["diamond"; 6]);
}

#[test]
fn names_that_can_meet_are_told() {
    let mut topology = mesh(&[("a", "x", "separator: '__'"), ("a.b", "x", "separator: '__'")]);
    for flow in topology.flows.values_mut() {
        flow.naming.separator = ".".into();
    }
    let findings = found(&topology);
    let collision =
        findings.iter().find(|finding| finding.code == "prefix_collision").expect("a.b.t and a.b.t");
    assert!(collision.is_error);
    assert!(
        collision.message.contains("b.orders of a and orders of a.b both become a.b.orders"),
        "{}",
        collision.message
    );
    assert!(findings.iter().any(|finding| finding.code == "separator_in_alias"));
    for flow in topology.flows.values_mut() {
        flow.naming.separator = "__".into();
    }
    assert_eq!(found(&topology), []);
    let merged = all_identity(&[("a", "x", ""), ("b", "x", "")]);
    assert_eq!(codes(&merged), ["merged_topics"]);
    let apart = all_identity(&[("a", "x", "topics: [p]"), ("b", "x", "topics: [q]")]);
    assert_eq!(codes(&apart), [] as [&str; 0]);
}

#[test]
fn local_topics_that_look_mirrored_are_told() {
    let topology = mesh(&[("us", "eu", ""), ("ap", "eu", "")]);
    let topics: Vec<TopicName> =
        ["eu.orders", "orders", "ap.orders", "v1.orders"].map(TopicName::from).to_vec();
    let findings = misleading_names(&topology, &"us".into(), &topics);
    let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "topic eu.orders on us looks mirrored from eu, but no flow brings it there",
            "topic ap.orders on us looks mirrored from ap, but no flow brings it there"
        ]
    );
    assert_eq!(misleading_names(&topology, &"eu".into(), &topics), []);
}

#[test]
fn equal_names_from_lists_of_topics_are_told() {
    let topology = mesh(&[("a", "x", "naming: identity"), ("b", "x", "")]);
    let topics = BTreeMap::from([
        (Alias::from("a"), vec![TopicName::from("b.orders"), TopicName::from("other")]),
        (Alias::from("b"), vec![TopicName::from("orders"), TopicName::from("other")]),
    ]);
    let findings = name_collisions(&topology, &topics);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.contains("writes orders of b into b.orders on x"), "{}", findings[0].message);
}

proptest! {
    /// Against plain reachability: a loop is found exactly where one can walk back to where one was.
    #[test]
    fn identity_cycles_are_those_of_the_graph(edges in prop::collection::btree_set((0_usize..5, 0_usize..5), 1..9)) {
        let aliases = ["a", "b", "c", "d", "e"];
        let flows: Vec<_> = edges.iter().filter(|(from, to)| from != to).map(|(from, to)| (aliases[*from], aliases[*to], "")).collect();
        prop_assume!(!flows.is_empty());
        static ONE: LazyLock<Topology> = LazyLock::new(|| all_identity(&[("a", "b", "exclude: []")]));
        let mut topology = ONE.clone();
        let template = topology.flows.pop_first().expect("it has one flow").1;
        for (from, to, _) in &flows {
            let name = FlowName::from(format!("{from}-{to}"));
            let flow = FlowSpec { name: name.clone(), from: (*from).into(), to: (*to).into(), ..template.clone() };
            topology.flows.insert(name, flow);
        }
        let reaches = |start: &str, goal: &str| {
            let (mut open, mut seen) = (vec![start], BTreeSet::new());
            while let Some(at) = open.pop() {
                for (_, to, _) in flows.iter().filter(|(from, _, _)| *from == at) {
                    if *to == goal { return true; }
                    if seen.insert(*to) { open.push(to); }
                }
            }
            false
        };
        let looping: BTreeSet<&str> = aliases.into_iter().filter(|alias| reaches(alias, alias)).collect();
        let loops = identity_cycles(&topology);
        prop_assert_eq!(loops.is_empty(), looping.is_empty());
        for finding in &loops {
            let path = finding.message.split(": ").nth(1).unwrap().split(" (").next().unwrap();
            let stops: Vec<&str> = path.split(" → ").collect();
            prop_assert_eq!(stops.first(), stops.last());
            for hop in stops.windows(2) {
                prop_assert!(flows.iter().any(|(from, to, _)| (*from, *to) == (hop[0], hop[1])), "{}", path);
            }
        }
        if loops.len() < MOST_LOOPS {
            let told: BTreeSet<&str> = aliases.into_iter().filter(|alias| {
                loops.iter().any(|finding| finding.message.split(": ").nth(1).unwrap().split(" (").next().unwrap().split(" → ").any(|stop| stop == *alias))
            }).collect();
            prop_assert_eq!(told, looping);
        }
    }
}
