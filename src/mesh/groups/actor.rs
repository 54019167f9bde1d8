//! Runs the rounds of a flow's groups, one at a time.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::{JoinError, JoinHandle};
use tracing::debug;

use super::cycle::Cycle;
use crate::mesh::flow::FlowContext;
use crate::topology::{GroupSelector, Selector};
use crate::wire::WireError;

/// What the keeper of groups is told.
pub enum GroupsMsg {
    /// Time for a round.
    Round,
    /// The round is over.
    Done(Box<Result<Ended, JoinError>>),
}

/// A round that ended, with what goes on to the next.
pub struct Ended {
    cycle: Cycle,
    outcome: Result<(), WireError>,
}

/// Keeps the groups of one flow.
pub struct GroupsActor {
    /// The flow.
    pub flow: Arc<FlowContext>,
    /// Its choice of topics.
    pub selector: Arc<Selector>,
    /// Its choice of groups.
    pub groups: GroupSelector,
}

/// State of the keeper.
pub struct GroupsState {
    /// Away while a round runs.
    cycle: Option<Cycle>,
    round: Option<JoinHandle<()>>,
}

impl Actor for GroupsActor {
    type Msg = GroupsMsg;
    type State = GroupsState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        _arguments: (),
    ) -> Result<Self::State, ActorProcessingErr> {
        myself.send_after(self.flow.spec.groups.interval, || GroupsMsg::Round);
        let cycle = Cycle::new(self.flow.clone(), self.selector.clone(), self.groups.clone());
        Ok(GroupsState { cycle: Some(cycle), round: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GroupsMsg::Round => {
                let Some(mut cycle) = state.cycle.take() else { return Ok(()) };
                state.round = Some(tokio::spawn(async move {
                    // A task of its own, so that a panic in it is seen here; it ends with this one.
                    let mut round = tokio::task::JoinSet::new();
                    round.spawn(async move {
                        let outcome = cycle.run().await;
                        Ended { cycle, outcome }
                    });
                    if let Some(ended) = round.join_next().await {
                        let _ = myself.cast(GroupsMsg::Done(Box::new(ended)));
                    }
                }));
            }
            GroupsMsg::Done(ended) => {
                let Ended { cycle, outcome } = (*ended)?;
                if let Err(error) = outcome {
                    // A cluster that is away is told by its own state.
                    debug!(flow = %self.flow.spec.name, %error, "groups not read");
                }
                state.cycle = Some(cycle);
                myself.send_after(self.flow.spec.groups.interval, || GroupsMsg::Round);
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(round) = state.round.take() {
            round.abort();
        }
        Ok(())
    }
}
