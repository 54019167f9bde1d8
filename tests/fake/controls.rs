//! What goes wrong because a test wants it to.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::sync::watch;

use super::cluster::FakeCluster;
use super::groups::Group;
use super::requests::{Reply, Request};
use super::rights::Right;

/// A test's answer in a broker's place; `None` leaves the request to the broker.
pub(super) type Interceptor = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// A code that brokers answer of a topic or group in place of what they found.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    api: ApiKey,
    code: ResponseError,
    name: Option<String>,
    broker: Option<i32>,
    left: Option<usize>,
}

impl Fault {
    /// Strikes every topic or group that a call names, at every broker, until [`FakeCluster::heal`].
    pub(crate) fn of(api: ApiKey, code: ResponseError) -> Self {
        Self { api, code, name: None, broker: None, left: None }
    }

    /// Strikes this topic or group only.
    pub(crate) fn on(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Strikes at this broker only.
    pub(crate) fn at(mut self, broker: i32) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Strikes so many times, a partition each.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    pub(super) fn code(&self) -> ResponseError {
        self.code
    }

    pub(super) fn strikes(&self, broker: i32, api: ApiKey, name: &str) -> bool {
        self.api == api
            && self.name.as_deref().is_none_or(|mine| mine == name)
            && self.broker.is_none_or(|mine| mine == broker)
    }

    /// Counts a strike; whether it was the last.
    pub(super) fn is_used_up(&mut self) -> bool {
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.left == Some(0)
    }
}

/// Requests that are held back; they go on when it is opened or dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
}

impl Gate {
    /// Lets the requests go on, and later ones too.
    pub(crate) fn open(self) {
        self.open.send_replace(true);
    }
}

/// What waits at a gate.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) api: ApiKey,
    name: Option<String>,
    open: watch::Receiver<bool>,
}

impl Held {
    pub(super) fn holds(&self, request: &Request) -> bool {
        self.api == request.api && self.name.as_ref().is_none_or(|name| request.names(name))
    }

    /// Waits until the gate is opened or dropped.
    pub(super) async fn wait(mut self) {
        // An error says that the gate was dropped.
        let _ = self.open.wait_for(|open| *open).await;
    }

    pub(super) fn is_over(&self) -> bool {
        *self.open.borrow() || self.open.has_changed().is_err()
    }
}

impl FakeCluster {
    /// Catches requests of a call; the one that was set last is asked first.
    pub(crate) fn intercept(
        &self,
        api: ApiKey,
        answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) {
        let of_api = move |request: &Request| if request.api == api { answer(request) } else { None };
        self.intercept_all(of_api);
    }

    /// Catches all requests.
    pub(crate) fn intercept_all(&self, answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) {
        self.shared.interceptors.lock().push(Arc::new(answer));
    }

    /// Has brokers answer a code.
    pub(crate) fn fail(&self, fault: Fault) {
        self.change(|state| state.faults.push(fault));
    }

    /// Ends all interceptions, faults, throttles and denials.
    pub(crate) fn heal(&self) {
        self.shared.interceptors.lock().clear();
        self.change(|state| {
            state.faults.clear();
            state.throttles.clear();
            state.denied.allow_all();
        });
    }

    /// Holds requests of a call back.
    pub(crate) fn hold(&self, api: ApiKey) -> Gate {
        self.close_gate(api, None)
    }

    /// Holds requests of a call back that contain a name, of a topic or a group.
    pub(crate) fn hold_naming(&self, api: ApiKey, name: &str) -> Gate {
        self.close_gate(api, Some(name.to_owned()))
    }

    fn close_gate(&self, api: ApiKey, name: Option<String>) -> Gate {
        let (open, held) = watch::channel(false);
        self.shared.held.lock().push(Held { api, name, open: held });
        Gate { open }
    }

    /// Has callers keep quiet after each request of a call. Fetches get nothing meanwhile (KIP-219).
    pub(crate) fn throttle(&self, api: ApiKey, quiet: Duration) {
        let quiet_ms = i32::try_from(quiet.as_millis()).expect("a short time");
        self.change(|state| _ = state.throttles.insert(api as i16, quiet_ms));
    }

    /// Has answers take so long on their way, as over a long link.
    pub(crate) fn set_latency(&self, latency: Duration) {
        *self.shared.latency.lock() = latency;
    }

    /// Denies operations on a topic.
    pub(crate) fn deny_topic(&self, topic: &str, rights: &[Right]) {
        self.change(|state| state.denied.deny_topic(topic, rights));
    }

    /// Denies a group.
    pub(crate) fn deny_group(&self, group: &str) {
        self.change(|state| state.denied.deny_group(group));
    }

    /// Denies an operation on the cluster.
    pub(crate) fn deny_cluster(&self, right: Right) {
        self.change(|state| state.denied.deny_cluster(right));
    }

    /// Allows everything again.
    pub(crate) fn allow_all(&self) {
        self.change(|state| state.denied.allow_all());
    }

    /// Gives a partition another leader, under the next epoch.
    pub(crate) fn move_leader(&self, topic: &str, partition: i32, leader: i32) {
        self.change(|state| {
            let partition = state.partition(topic, partition).expect("the partition exists");
            if !partition.replicas.contains(&leader) {
                partition.replicas.push(leader);
            }
            partition.elect(Some(leader));
        });
    }

    /// Leaves a partition without a leader until [`FakeCluster::move_leader`].
    pub(crate) fn remove_leader(&self, topic: &str, partition: i32) {
        self.change(|state| state.partition(topic, partition).expect("the partition exists").elect(None));
    }

    /// Has leaders send consumers to a replica in their rack.
    pub(crate) fn serve_racks(&self, serve: bool) {
        self.change(|state| state.serves_racks = serve);
    }

    /// Has all brokers give their fetch sessions up.
    pub(crate) fn evict_sessions(&self) {
        self.change(|state| state.brokers.iter_mut().for_each(|broker| broker.sessions.evict()));
    }

    /// Says how many members a group has. With members it refuses commits from outside.
    pub(crate) fn set_group_members(&self, group: &str, members: usize) {
        self.change(|state| {
            let group: &mut Group = state.groups.entry(group.to_owned()).or_default();
            group.members = members;
            "consumer".clone_into(&mut group.protocol_type);
        });
    }

    /// Leaves an offset unstable, as an open transaction that commits another one does; or ends that.
    pub(crate) fn set_unstable(&self, group: &str, topic: &str, partition: i32, unstable: bool) {
        self.change(|state| {
            let group = state.groups.get_mut(group).expect("the group exists");
            let commit = group.commits.get_mut(&(topic.to_owned(), partition));
            commit.expect("the group committed there").unstable = unstable;
        });
    }

    /// Leaves the high watermark of a partition where it is, as replicas that don't follow; or ends that.
    pub(crate) fn hold_high_watermark(&self, topic: &str, partition: i32, hold: bool) {
        self.change(|state| {
            state.partition(topic, partition).expect("the partition exists").log.hold_back(hold);
        });
    }

    /// Does what the log cleaner does, to all partitions of a topic.
    pub(crate) fn compact(&self, topic: &str) {
        self.change(|state| {
            let topic = state.topics.get_mut(topic).expect("the topic exists");
            topic.partitions.iter_mut().for_each(|partition| partition.log.compact());
        });
    }

    /// Loses what lies behind an offset, as an unclean election does, under the next epoch.
    pub(crate) fn truncate(&self, topic: &str, partition: i32, offset: i64) {
        self.change(|state| {
            let partition = state.partition(topic, partition).expect("the partition exists");
            partition.truncate(offset);
            partition.elect(partition.leader);
        });
    }

    /// Moves the start of a log, as retention does.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        self.change(|state| {
            state.partition(topic, partition).expect("the partition exists").log.delete_before(before);
        });
    }

    /// Has a partition forget a producer, as it does a day after its last batch.
    pub(crate) fn forget_producer(&self, topic: &str, partition: i32, producer: i64) {
        self.change(|state| {
            state.partition(topic, partition).expect("the partition exists").producers.forget(producer);
        });
    }

    /// Turns a bit of a stored batch over, behind its header.
    pub(crate) fn damage(&self, topic: &str, partition: i32, offset: i64) {
        self.change(|state| {
            state.partition(topic, partition).expect("the partition exists").log.damage(offset);
        });
    }
}
