//! The client of one cluster: finds the broker that is responsible for a call, and tries again where that helps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, FetchRequest};
use parking_lot::RwLock;

use super::call::Call;
use super::connection::Connection;
use super::dial::Address;
use super::error::{WireError, WireErrorKind};
use super::pool::{Pool, Purpose, Target};
use super::retry::Retry;
use super::view::{Leader, RoutingView};
use crate::config::client::ClientSettings;
use crate::model::{Alias, TopicPartition};

/// A client of one cluster. Clones share their connections.
///
/// Every call is cancel safe: dropping its future leaves the connection usable (a request that was sent may still
/// be carried out). A call takes at most `request_timeout`, and tells within `connect_timeout` when the cluster
/// can't be reached at all.
#[derive(Clone)]
pub struct Wire {
    inner: Arc<Inner>,
}

struct Inner {
    alias: Alias,
    settings: ClientSettings,
    bootstrap: Vec<Address>,
    pool: Pool,
    view: RwLock<RoutingView>,
}

impl Wire {
    /// A client that has not connected yet. Fails if a setting can't be used, naming it by its Java name.
    pub fn new(alias: Alias, settings: &ClientSettings) -> Result<Wire, WireError> {
        let wrong =
            |detail: String| WireError::new(&alias, WireErrorKind::Settings { key: "bootstrap", detail });
        let bootstrap: Result<Vec<_>, _> = settings
            .bootstrap
            .iter()
            .map(|text| Address::parse(text).ok_or_else(|| wrong(format!("`{text}` is not `host:port`"))))
            .collect();
        let bootstrap = bootstrap?;
        if bootstrap.is_empty() {
            return Err(wrong("names no server".to_owned()));
        }
        let pool = Pool::new(&alias, settings)?;
        let view = RwLock::default();
        Ok(Self { inner: Arc::new(Inner { alias, settings: settings.clone(), bootstrap, pool, view }) })
    }

    /// The cluster's name in the mesh.
    pub fn alias(&self) -> &Alias {
        &self.inner.alias
    }

    /// Whether the brokers offer a call, as one of them tells.
    pub async fn supports(&self, api: ApiKey) -> Result<bool, WireError> {
        let mut retry = self.retry();
        loop {
            match self.any().await {
                Ok(connection) => return Ok(connection.offered().has(api)),
                Err(error) => retry.pause_after(error).await?,
            }
        }
    }

    /// For how long the cluster asked our connections to keep quiet because a quota was used up, all together, by the
    /// call whose answer said so (KIP-124).
    pub fn throttled(&self) -> BTreeMap<&'static str, Duration> {
        self.inner.pool.throttling().totals()
    }

    /// Whether a quota of the cluster holds our fetches back: what is not fetched is then no sign of a fault.
    pub fn throttles_fetches(&self) -> bool {
        self.inner.pool.throttling().lasts(FetchRequest::NAME)
    }

    /// Ends all connections but links, which are their owners' to close. Calls under way and later ones fail with
    /// [`WireErrorKind::Closed`].
    pub async fn close(&self) {
        self.inner.pool.close();
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    pub(super) fn request_timeout(&self) -> Duration {
        self.inner.settings.request_timeout
    }

    /// The tries of a call that starts now.
    pub(crate) fn retry(&self) -> Retry {
        Retry::new(&self.inner.settings)
    }

    pub(super) fn retry_within(&self, patience: Duration) -> Retry {
        Retry::within(&self.inner.settings, patience)
    }

    pub(super) fn view(&self) -> &RwLock<RoutingView> {
        &self.inner.view
    }

    pub(super) fn error(&self, kind: WireErrorKind) -> WireError {
        WireError::new(&self.inner.alias, kind)
    }

    pub(super) fn refused(&self, code: ResponseError, message: Option<&str>) -> WireError {
        WireError::refused(&self.inner.alias, code, message)
    }

    /// A connection to whichever broker.
    pub(super) async fn any(&self) -> Result<Arc<Connection>, WireError> {
        if let Some(connection) = self.inner.pool.any_open() {
            return Ok(connection);
        }
        let mut addresses = self.inner.bootstrap.clone();
        for known in self.view().read().addresses() {
            // Bootstrap servers may be gone by now, while others took over.
            if !addresses.contains(known) {
                addresses.push(known.clone());
            }
        }
        self.inner.pool.get(Target::Any, Purpose::Admin, &addresses).await
    }

    /// A connection to one broker.
    pub(super) async fn broker(&self, id: i32, purpose: Purpose) -> Result<Arc<Connection>, WireError> {
        let address = self.address(id).await?;
        self.inner.pool.get(Target::Broker(id), purpose, &[address]).await
    }

    /// Where a broker listens.
    pub(super) async fn address(&self, id: i32) -> Result<Address, WireError> {
        let mut address = self.view().read().address(id);
        if address.is_none() {
            self.metadata(Some(&[])).await?;
            address = self.view().read().address(id);
        }
        address
            .ok_or_else(|| self.error(WireErrorKind::Connect(format!("broker {id} is not in the metadata"))))
    }

    /// A connection to the controller, or to the broker that forwards to it.
    async fn controller(&self) -> Result<Arc<Connection>, WireError> {
        let mut controller = self.view().read().controller();
        if controller.is_none() {
            controller = self.metadata(Some(&[])).await?.controller;
        }
        match controller {
            Some(id) => self.broker(id, Purpose::Admin).await,
            None => Err(self.refused(ResponseError::NotController, Some("no controller is known"))),
        }
    }

    /// Who leads a partition. When even fresh metadata doesn't know topic or partition, that settles it.
    pub(super) async fn leader(&self, partition: &TopicPartition) -> Result<Leader, WireError> {
        if let Some(leader) = self.view().read().leader(partition) {
            return Ok(leader);
        }
        let metadata = self.metadata(Some(std::slice::from_ref(&partition.topic))).await?;
        metadata.leader_of(&self.inner.alias, partition)
    }

    /// Sends a request to whichever broker, and reads the answer with `read`.
    pub(super) async fn call_any<C: Call, T>(
        &self,
        build: impl Fn(i16, &Retry) -> C,
        read: impl Fn(C::Answer) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        let mut retry = self.retry();
        loop {
            let outcome = match self.any().await {
                Ok(connection) => ask(&connection, &retry, &build, &read).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(error) => retry.pause_after(error).await?,
            }
        }
    }

    /// Sends a request to the controller, and reads the answer with `read`.
    pub(super) async fn call_controller<C: Call, T>(
        &self,
        build: impl Fn(i16, &Retry) -> C,
        read: impl Fn(C::Answer) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        let mut retry = self.retry();
        loop {
            let outcome = match self.controller().await {
                Ok(connection) => ask(&connection, &retry, &build, &read).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    if error.is_misrouted() {
                        self.view().write().forget_controller();
                    }
                    retry.pause_after(error).await?;
                }
            }
        }
    }

    /// Sends a request to a partition's leader; `wait` is how long the broker may hold it back on purpose.
    ///
    /// `build` gets version and leader epoch. `again` may forbid another try where repeating does harm.
    pub(super) async fn call_leader<C: Call, T>(
        &self,
        partition: &TopicPartition,
        purpose: Purpose,
        wait: Duration,
        build: impl Fn(i16, i32, &Retry) -> C,
        read: impl Fn(C::Answer) -> Result<T, WireError>,
        again: impl Fn(&WireError) -> bool,
    ) -> Result<T, WireError> {
        let mut retry = self.retry();
        loop {
            let outcome = async {
                let leader = self.leader(partition).await?;
                let connection = self.broker(leader.broker, purpose).await?;
                let request = |version| build(version, leader.epoch, &retry);
                let answer = connection.call(retry.left() + wait, request).await?;
                read(answer).map_err(|error| error.at(connection.broker()).during(C::NAME))
            };
            let error = match outcome.await {
                Ok(answer) => return Ok(answer),
                Err(error) => error.about(partition),
            };
            if error.is_misrouted() {
                self.view().write().forget(&partition.topic);
            }
            if !again(&error) {
                return Err(error);
            }
            retry.pause_after(error).await?;
        }
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("alias", &self.inner.alias).finish_non_exhaustive()
    }
}

async fn ask<C: Call, T>(
    connection: &Connection,
    retry: &Retry,
    build: impl Fn(i16, &Retry) -> C,
    read: impl Fn(C::Answer) -> Result<T, WireError>,
) -> Result<T, WireError> {
    let answer = connection.call(retry.left(), |version| build(version, retry)).await?;
    read(answer).map_err(|error| error.at(connection.broker()).during(C::NAME))
}
