//! What would keep a mesh from running well, as the clusters tell it.

use std::collections::BTreeMap;

use super::survey::{Survey, Surveyed};
use crate::cluster::describe;
use crate::config::{Loaded, Origin, Problem};
use crate::formats::{offsets_topic, positions_topic};
use crate::model::{Alias, ConfigEntry, TopicName};
use crate::topology::plan::FlowPlan;
use crate::topology::{FlowSpec, cycles};
use crate::wire::{TopicRights, WireError};

/// Looks at the clusters and says what would keep the mesh from running well.
pub async fn problems(loaded: &Loaded) -> Vec<Problem> {
    let survey = Survey::take(loaded).await;
    let mut found = Vec::new();
    for (alias, looked) in &survey.clusters {
        if let Err(error) = looked {
            found.push(unreachable(loaded, alias, error));
        }
    }
    found.extend(same_cluster(loaded, &survey));
    found.extend(names(loaded, &survey));
    for flow in loaded.topology.flows.values() {
        match survey.plan(loaded, flow).await {
            Some(Ok(plan)) => found.extend(flow_problems(loaded, &survey, flow, &plan).await),
            Some(Err(error)) => {
                let key = format!("flows.{}", flow.name);
                found.push(Problem::error("no_plan", &key, &origin(loaded, &key), error.to_string()));
            }
            // The end that does not answer is told above.
            None => {}
        }
    }
    found
}

/// Where a key, or the first key below it, was set.
fn origin(loaded: &Loaded, key: &str) -> Origin {
    let below = format!("{key}.");
    let entry = loaded
        .effective
        .iter()
        .find(|entry| (entry.key == key || entry.key.starts_with(&below)) && entry.origin != Origin::Default);
    entry.map(|entry| entry.origin.clone()).unwrap_or_default()
}

fn unreachable(loaded: &Loaded, alias: &Alias, error: &WireError) -> Problem {
    let (code, key, hint) = if error.is_auth_refused() {
        ("refused", format!("clusters.{alias}.client"), "correct the credentials or certificates")
    } else {
        let hint = "check the address, the network, and that a broker listens there";
        ("unreachable", format!("clusters.{alias}.bootstrap"), hint)
    };
    let given = loaded.clients.get(alias).map(|client| client.bootstrap.join(", ")).unwrap_or_default();
    Problem::error(code, &key, &origin(loaded, &key), error.to_string()).given(given).hint(hint)
}

fn same_cluster(loaded: &Loaded, survey: &Survey) -> Vec<Problem> {
    let mut by_id: BTreeMap<String, Vec<&Alias>> = BTreeMap::new();
    for (alias, looked) in &survey.clusters {
        if let Ok(Surveyed { catalogue, .. }) = looked
            && let Some(id) = &catalogue.cluster_id
        {
            by_id.entry(id.to_string()).or_default().push(alias);
        }
    }
    let twice = by_id.into_iter().filter(|(_, aliases)| aliases.len() > 1);
    twice
        .map(|(id, aliases)| {
            let names = aliases.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            let key = format!("clusters.{}.bootstrap", aliases[1]);
            let message = format!("{names} are one cluster (id {id})");
            Problem::error("same_cluster", &key, &origin(loaded, &key), message)
                .hint("give each cluster one alias; mirroring a cluster into itself would never end")
        })
        .collect()
}

/// What can be said only with the topics at hand.
fn names(loaded: &Loaded, survey: &Survey) -> Vec<Problem> {
    let topics: BTreeMap<Alias, Vec<TopicName>> = survey
        .clusters
        .iter()
        .filter_map(|(alias, looked)| {
            let catalogue = &looked.as_ref().ok()?.catalogue;
            Some((alias.clone(), catalogue.topics.keys().cloned().collect()))
        })
        .collect();
    let misleading =
        topics.iter().flat_map(|(alias, names)| cycles::misleading_names(&loaded.topology, alias, names));
    let found: Vec<_> = misleading.chain(cycles::name_collisions(&loaded.topology, &topics)).collect();
    found
        .into_iter()
        .map(|finding| {
            let key = format!("flows.{}", finding.flow);
            let at = origin(loaded, &key);
            let problem = match finding.is_error {
                true => Problem::error(finding.code, key, &at, finding.message),
                false => Problem::warning(finding.code, key, &at, finding.message),
            };
            problem.hint(finding.hint)
        })
        .collect()
}

async fn flow_problems(loaded: &Loaded, survey: &Survey, flow: &FlowSpec, plan: &FlowPlan) -> Vec<Problem> {
    let Some((source, target)) = survey.ends(flow) else { return Vec::new() };
    let key = format!("flows.{}", flow.name);
    let at = origin(loaded, &key);
    let mut found = Vec::new();
    for left in plan.left_out.iter().filter(|left| left.is_problem) {
        found.push(Problem::warning("left_out", &key, &at, format!("topic {}: {}", left.topic, left.reason)));
    }
    let mut failed = |error: WireError| {
        let message = format!("rights and limits can't be told: {error}");
        found.push(Problem::warning("unknown_rights", &key, &at, message));
    };
    let missing = match rights(flow, plan, source, target).await {
        Ok(missing) => missing,
        Err(error) => {
            failed(error);
            Vec::new()
        }
    };
    let limits = match sizes(plan, source, target).await {
        Ok(limits) => limits,
        Err(error) => {
            failed(error);
            Vec::new()
        }
    };
    for message in missing {
        let hint = "grant it to the user of this cluster's client settings";
        found.push(Problem::error("missing_right", &key, &at, message).hint(hint));
    }
    for message in limits {
        let hint = "raise max.message.bytes there, or larger records will fault their partition";
        found.push(Problem::warning("message_size", &key, &at, message).hint(hint));
    }
    found
}

/// Rights that the flow needs and does not have.
async fn rights(
    flow: &FlowSpec,
    plan: &FlowPlan,
    source: &Surveyed,
    target: &Surveyed,
) -> Result<Vec<String>, WireError> {
    let mut missing = Vec::new();
    let topics: Vec<TopicName> = plan.selected.iter().map(|selected| selected.topic.clone()).collect();
    let mut lacks = |cluster: &Alias, topic: &TopicName, right: &str, has: Option<bool>| {
        if has == Some(false) {
            missing.push(format!("{right} on topic {topic} of {cluster}"));
        }
    };
    for (topic, answer) in source.wire.topic_rights(&topics).await? {
        match answer {
            Ok(rights) => lacks(&flow.from, &topic, "READ", rights.read),
            Err(error) if error.is_unauthorized() => lacks(&flow.from, &topic, "DESCRIBE", Some(false)),
            Err(error) => return Err(error),
        }
    }
    let own = [positions_topic(&flow.from), offsets_topic(&flow.from)];
    let mut remotes: Vec<TopicName> = plan.selected.iter().map(|selected| selected.remote.clone()).collect();
    remotes.extend(own.iter().cloned());
    let may_create = target.wire.cluster_rights().await?.create;
    for (topic, answer) in target.wire.topic_rights(&remotes).await? {
        match answer {
            Ok(TopicRights { write, read, .. }) => {
                lacks(&flow.to, &topic, "WRITE", write);
                if own.contains(&topic) {
                    lacks(&flow.to, &topic, "READ", read);
                }
            }
            Err(error) if error.is_unknown_topic() => lacks(&flow.to, &topic, "CREATE", may_create),
            Err(error) if error.is_unauthorized() => lacks(&flow.to, &topic, "DESCRIBE", Some(false)),
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}

/// Topics whose records may be larger than the target takes.
async fn sizes(plan: &FlowPlan, source: &Surveyed, target: &Surveyed) -> Result<Vec<String>, WireError> {
    let topics: Vec<TopicName> = plan.selected.iter().map(|selected| selected.topic.clone()).collect();
    let there = &target.catalogue.topics;
    let remotes: Vec<TopicName> =
        plan.selected.iter().map(|s| s.remote.clone()).filter(|remote| there.contains_key(remote)).collect();
    let here = describe(&source.wire, &topics).await?;
    let there = describe(&target.wire, &remotes).await?;
    let default = match target.brokers.first() {
        Some(broker) => match target.wire.describe_broker_configs(*broker).await {
            Ok(entries) => number(&entries, "message.max.bytes"),
            // Without the right, or on a broker that can't tell, Kafka's default is as good a guess as any.
            Err(_) => None,
        },
        None => None,
    };
    let mut found = Vec::new();
    for selected in &plan.selected {
        let Some(Ok(entries)) = here.get(&selected.topic) else { continue };
        let Some(wanted) = number(entries, "max.message.bytes") else { continue };
        let creation = plan.create.iter().find(|creation| creation.remote == selected.remote);
        let takes = match (there.get(&selected.remote), creation) {
            (Some(Ok(entries)), _) => number(entries, "max.message.bytes"),
            (_, Some(creation)) => creation
                .configs
                .iter()
                .find(|(name, _)| name == "max.message.bytes")
                .and_then(|(_, value)| value.parse().ok())
                .or(default),
            _ => None,
        };
        if let Some(takes) = takes.filter(|takes| *takes < wanted) {
            found.push(format!(
                "{} takes messages of {wanted} bytes, {} only {takes}",
                selected.topic, selected.remote
            ));
        }
    }
    Ok(found)
}

fn number(entries: &[ConfigEntry], name: &str) -> Option<i64> {
    entries.iter().find(|entry| entry.name == name)?.value.as_deref()?.parse().ok()
}
