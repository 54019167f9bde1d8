//! Trims a flow's offset maps: drops what the source no longer has.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::job::{Job, Round};
use crate::mesh::shared::{FlowContext, StoreMsg};
use crate::model::TopicPartition;
use crate::model::job::RunsIn;
use crate::wire::OffsetSpec;

/// Retention goes by segments, so minutes are soon enough.
const INTERVAL: Duration = Duration::from_secs(300);

/// Trims the offset maps of one flow.
pub(crate) struct MapTrim {
    /// The flow.
    pub flow: Arc<FlowContext>,
}

impl Job for MapTrim {
    const NAME: &'static str = "trimming offset maps";
    const RUNS_IN: RunsIn = RunsIn::EachProcess;

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn first_after(&self) -> Duration {
        Duration::ZERO
    }

    async fn run(&mut self) -> Round {
        trim(&self.flow).await;
        Round::done()
    }
}

/// Drops what lies below the source's log starts from maps that are large enough to have something to drop.
async fn trim(flow: &FlowContext) {
    let large = flow.maps.iter().filter(|(_, map)| map.lock().oldest_end().is_some());
    let looks = large.map(|(source, map)| async move {
        let isolation = flow.spec.isolation;
        // A partition whose start can't be had is trimmed next time.
        let start = flow.source.offset(&source, OffsetSpec::Earliest, isolation).await.ok()?;
        let mut map = map.lock();
        let trims = map.oldest_end().is_some_and(|end| end <= start.offset);
        map.trim(start.offset);
        trims.then_some(source)
    });
    let looked = futures::future::join_all(looks).await;
    let trimmed: Vec<TopicPartition> = looked.into_iter().flatten().collect();
    if let Some(store) = flow.store.lock().as_ref()
        && !trimmed.is_empty()
    {
        debug!(target: crate::mesh::LOG, flow = %flow.spec.name, partitions = trimmed.len(), "offset maps trimmed");
        // A store that ended takes the flow down with it.
        let _ = store.cast(StoreMsg::SaveMaps(trimmed));
    }
}
