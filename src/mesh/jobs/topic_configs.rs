//! Keeps the configuration of remote topics in step with the source: compares first, writes only differences.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::job::{Job, Round};
use crate::cluster::describe;
use crate::mesh::shared::FlowContext;
use crate::model::job::RunsIn;
use crate::model::{ConfigEntry, Event, TopicName};
use crate::topology::topic_config::{ConfigEdit, ConfigRules};
use crate::topology::{Choice, Selector};
use crate::wire::{ConfigChange, WireError};

/// Topics compared at a time, so that memory stays bounded with many topics.
const TOPICS_AT_A_TIME: usize = 200;

/// Stands for the whole configuration of a topic, among the entries that were refused.
const WHOLE: &str = "";

/// Syncs the topic configuration of one flow.
pub(crate) struct TopicConfigs {
    flow: Arc<FlowContext>,
    selector: Arc<Selector>,
    rules: ConfigRules,
    /// Entries the target refused, told once.
    refused: BTreeSet<(TopicName, String)>,
}

impl Job for TopicConfigs {
    const NAME: &'static str = "topic configurations";
    const RUNS_IN: RunsIn = RunsIn::FlowOwner;

    fn interval(&self) -> Duration {
        self.flow.spec.topic_configs.interval
    }

    async fn run(&mut self) -> Round {
        let outcome = self.compare().await;
        if let Err(error) = &outcome {
            warn!(target: crate::mesh::LOG, flow = %self.flow.spec.name, %error, "topic configuration not compared; tried again");
            return Round::failing(error);
        }
        Round::done()
    }
}

impl TopicConfigs {
    /// Nothing compared yet; `rules` say which entries follow the source.
    pub(crate) fn new(flow: Arc<FlowContext>, selector: Arc<Selector>, rules: ConfigRules) -> Self {
        Self { flow, selector, rules, refused: BTreeSet::new() }
    }

    async fn compare(&mut self) -> Result<(), WireError> {
        let (Some(source), Some(target)) = (self.flow.source.catalogue(), self.flow.target.catalogue())
        else {
            return Ok(());
        };
        let pairs: Vec<(TopicName, TopicName)> = source
            .topics
            .iter()
            .filter_map(|(topic, entry)| match self.selector.select(topic, entry.internal) {
                Choice::Take { remote, .. } => Some((topic.clone(), remote)),
                Choice::Leave { .. } => None,
            })
            .filter(|(_, remote)| target.topics.contains_key(remote))
            .collect();
        for some in pairs.chunks(TOPICS_AT_A_TIME) {
            let (topics, remotes): (Vec<_>, Vec<_>) = some.iter().cloned().unzip();
            let here = describe(self.flow.source.wire(), &topics).await?;
            let there = describe(self.flow.target.wire(), &remotes).await?;
            for (topic, remote) in some {
                match (here.get(topic), there.get(remote)) {
                    (Some(Ok(here)), Some(Ok(there))) => {
                        self.refused.remove(&(topic.clone(), WHOLE.to_owned()));
                        self.align(remote, here, there).await?;
                    }
                    (Some(Err(error)), _) | (_, Some(Err(error))) if !error.is_unknown_topic() => {
                        self.unreadable(topic, error);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn align(
        &mut self,
        remote: &TopicName,
        here: &[ConfigEntry],
        there: &[ConfigEntry],
    ) -> Result<(), WireError> {
        let edits = self.rules.changes(here, there);
        let changes: Vec<ConfigChange> = edits.into_iter().map(as_change).collect();
        if changes.is_empty() {
            return Ok(());
        }
        match self.flow.target.wire().alter_topic_config(remote, &changes, false).await {
            Ok(()) => {
                for change in changes {
                    self.changed(remote, change);
                }
                Ok(())
            }
            Err(error) if error.is_unreachable() || error.is_unknown_topic() => Err(error),
            // The set was refused: one at a time, so that the good ones get through.
            Err(_) => {
                for change in changes {
                    let one = std::slice::from_ref(&change);
                    match self.flow.target.wire().alter_topic_config(remote, one, false).await {
                        Ok(()) => self.changed(remote, change),
                        Err(error) if error.is_unreachable() => return Err(error),
                        Err(error) => self.refused(remote, &change, &error),
                    }
                }
                Ok(())
            }
        }
    }

    /// Told once per topic, until its configuration could be read.
    fn unreadable(&mut self, topic: &TopicName, error: &WireError) {
        if self.refused.insert((topic.clone(), WHOLE.to_owned())) {
            warn!(target: crate::mesh::LOG, flow = %self.flow.spec.name, %topic, %error, "topic configuration can't be read");
        }
    }

    fn changed(&mut self, remote: &TopicName, change: ConfigChange) {
        let (key, value) = match change {
            ConfigChange::Set(key, value) => (key, Some(value)),
            ConfigChange::Delete(key) => (key, None),
        };
        self.refused.remove(&(remote.clone(), key.clone()));
        self.flow.report_topic(remote, &Event::TopicConfigChanged { topic: remote.clone(), key, value });
    }

    fn refused(&mut self, remote: &TopicName, change: &ConfigChange, error: &WireError) {
        let (ConfigChange::Set(key, _) | ConfigChange::Delete(key)) = change;
        if self.refused.insert((remote.clone(), key.clone())) {
            let event = Event::TopicConfigRefused {
                topic: remote.clone(),
                key: key.clone(),
                reason: error.to_string(),
            };
            self.flow.report_topic(remote, &event);
        }
    }
}

fn as_change(edit: ConfigEdit) -> ConfigChange {
    match edit {
        ConfigEdit::Set { name, value, .. } => ConfigChange::Set(name, value),
        ConfigEdit::Delete { name, .. } => ConfigChange::Delete(name),
    }
}
