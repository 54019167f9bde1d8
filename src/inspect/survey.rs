//! One look at all clusters, for commands that run nothing: what is there, and what flows would do with it.

use std::collections::BTreeMap;

use crate::cluster::{Catalogue, describe};
use crate::config::Loaded;
use crate::model::{Alias, FlowName, TopicName};
use crate::topology::FlowSpec;
use crate::topology::java_regex::PatternError;
use crate::topology::plan::{self, FlowPlan, SourceTopic, TargetTopic};
use crate::wire::{Wire, WireError};

/// What a look at one cluster came to.
pub(super) type Looked = Result<Surveyed, WireError>;

/// A cluster that answered.
#[derive(Clone)]
pub struct Surveyed {
    /// The connection.
    pub wire: Wire,
    /// Its topics.
    pub catalogue: Catalogue,
    /// Ids of its brokers.
    pub brokers: Vec<i32>,
}

/// All clusters of a mesh.
pub struct Survey {
    /// By alias.
    pub clusters: BTreeMap<Alias, Looked>,
}

impl Survey {
    /// Asks every cluster, all at once.
    pub async fn take(loaded: &Loaded) -> Self {
        let looks = loaded.clients.iter().map(|(alias, settings)| async move {
            let looked = async {
                let wire = Wire::new(alias.clone(), settings)?;
                let metadata = wire.metadata(None).await?;
                let brokers = metadata.brokers.iter().map(|broker| broker.id).collect();
                Ok(Surveyed { catalogue: Catalogue::from_metadata(&metadata), wire, brokers })
            };
            (alias.clone(), looked.await)
        });
        Self { clusters: futures::future::join_all(looks).await.into_iter().collect() }
    }

    /// Both ends of a flow, if both answered.
    pub fn ends(&self, flow: &FlowSpec) -> Option<(&Surveyed, &Surveyed)> {
        let end = |alias| self.clusters.get(alias).and_then(|looked| looked.as_ref().ok());
        Some((end(&flow.from)?, end(&flow.to)?))
    }

    /// What a flow would do now; `None` when one of its ends does not answer.
    ///
    /// # Errors
    /// A cluster stops answering meanwhile, or a pattern can't be used.
    pub async fn plan(&self, loaded: &Loaded, flow: &FlowSpec) -> Option<Result<FlowPlan, SurveyError>> {
        let (source, target) = self.ends(flow)?;
        Some(plan_of(loaded, flow, source, target).await)
    }
}

/// Why a plan can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// A cluster did not answer.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A pattern can't be used.
    #[error("flow {flow}: {error}")]
    Pattern {
        /// The flow.
        flow: FlowName,
        /// What is wrong with it.
        error: PatternError,
    },
}

async fn plan_of(
    loaded: &Loaded,
    flow: &FlowSpec,
    source: &Surveyed,
    target: &Surveyed,
) -> Result<FlowPlan, SurveyError> {
    let mut here: Vec<_> =
        source.catalogue.topics.iter().map(|(name, entry)| entry.as_source(name)).collect();
    let mut there: Vec<_> =
        target.catalogue.topics.iter().map(|(name, entry)| entry.as_target(name)).collect();
    let make = |here: &[SourceTopic], there: &[TargetTopic]| {
        plan::flow_plan(flow, &loaded.topology, here, there, target.brokers.len())
            .map_err(|error| SurveyError::Pattern { flow: flow.name.clone(), error })
    };
    // First which topics count, then their configuration: describing thousands of others would take long.
    let first = make(&here, &there)?;
    let topics: Vec<TopicName> = first.selected.iter().map(|selected| selected.topic.clone()).collect();
    for (topic, answer) in describe(&source.wire, &topics).await? {
        let Ok(entries) = answer else { continue };
        for known in here.iter_mut().filter(|known| known.name == topic) {
            known.configs.clone_from(&entries);
        }
    }
    let remotes: Vec<TopicName> = first
        .selected
        .iter()
        .map(|selected| selected.remote.clone())
        .filter(|remote| target.catalogue.topics.contains_key(remote))
        .collect();
    for (topic, answer) in describe(&target.wire, &remotes).await? {
        let Ok(entries) = answer else { continue };
        for known in there.iter_mut().filter(|known| known.name == topic) {
            known.configs.clone_from(&entries);
        }
    }
    make(&here, &there)
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.clusters.keys()).finish()
    }
}
