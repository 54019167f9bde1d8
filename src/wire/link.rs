//! A connection of its owner's own: for loops that fetch or produce all the time, and wait for nobody else.

use std::time::Duration;

use kafka_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use tokio::time::Instant;

use super::call::Call;
use super::chunks::RequestPieces;
use super::client::Wire;
use super::connection::{Awaited, Connection};
use super::encoding;
use super::error::WireError;
use super::produce_frame::{self, ProduceParts};

/// Share of our limit that a broker may take for replication (`timeout_ms`): it should give up before we do, so that
/// its answer tells what happened.
const BROKERS_SHARE: f64 = 0.8;

/// A connection to one broker that nobody shares. Dropping it closes it.
///
/// Requests are written in the order in which they were handed over, and answered in that order: a link for fetches
/// and another for writes keep them from waiting for each other. While the broker throttles, requests wait on our
/// side; that is no fault and counts against no limit.
///
/// When nothing has moved on the connection for the limit of the oldest unanswered request, the connection ends, and
/// all that is pending fails with it. A link without use for three minutes ends too, as does one whose authentication expires:
/// see [`Link::is_usable`] before sending.
pub struct Link {
    connection: Connection,
    broker: i32,
    limit: Duration,
}

/// A Produce request that was queued. Dropping it forgets the answer; the request is written all the same.
pub struct PendingProduce {
    awaited: Awaited<ProduceResponse>,
    address: String,
}

impl Wire {
    /// Connects to a broker, within `connect_timeout`; the connection is the caller's own.
    ///
    /// There is no pause after a failure: see [`Wire::reconnect_pause`]. Where the broker listens is asked anew after
    /// one. Cancel safe.
    pub async fn link(&self, broker: i32) -> Result<Link, WireError> {
        let address = self.address(broker).await?;
        match self.pool().dial(&address).await {
            Ok(connection) => Ok(Link { connection, broker, limit: self.request_timeout() }),
            Err(error) => {
                self.view().write().forget_address(broker);
                Err(error)
            }
        }
    }

    /// How long to pause before connecting again, after so many failures in a row (from 1): doubled with each, within
    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`, ± 20 %.
    pub fn reconnect_pause(&self, failures: u32) -> Duration {
        self.pool().reconnect_pause(failures)
    }

    /// Memory that large answers take: from when one is read until the last slice of it is dropped, in bytes.
    pub fn buffers_in_use_bytes(&self) -> usize {
        self.pool().buffers().in_use_bytes()
    }
}

impl Link {
    /// Fetches, in the highest version both sides speak (at most 12, the last one with topic names), and tells which
    /// that was.
    ///
    /// `wait` is the request's `max_wait_ms`; the answer may stay out for that and `request_timeout`. Errors of the session
    /// and of partitions are in the answer, for the caller to read. Records share the memory of the answer. Cancel
    /// safe; the request may have been sent all the same, and an answer that comes later is dropped.
    pub async fn fetch(
        &self,
        wait: Duration,
        build: impl FnOnce(i16) -> FetchRequest,
    ) -> Result<(i16, FetchResponse), WireError> {
        let version = self.fetch_version()?;
        let request = build(version);
        let encode = |correlation, client_id: &_| {
            encoding::encode(&request, version, correlation, client_id).map(RequestPieces::from)
        };
        let post = self.connection.post::<FetchRequest>(version, self.limit + wait, encode);
        let answer = match post.await {
            Ok(mut awaited) => awaited.answer().await,
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| error.at(self.broker()).during(FetchRequest::NAME))?;
        Ok((version, answer))
    }

    /// Queues batches to be written, behind those queued before.
    ///
    /// Waits only while very many requests are queued. An error here means that nothing was sent. Cancel safe:
    /// nothing is queued if the future is dropped.
    pub async fn produce(&self, request: ProduceParts) -> Result<PendingProduce, WireError> {
        let named = |error: WireError| error.at(self.broker()).during(ProduceRequest::NAME);
        let version = self.produce_version()?;
        let timeout_ms = self.limit.mul_f64(BROKERS_SHARE).as_millis();
        let timeout_ms = i32::try_from(timeout_ms).unwrap_or(i32::MAX).max(1);
        let encode = |correlation, client_id: &_| {
            produce_frame::encode(request, timeout_ms, version, correlation, client_id)
        };
        let post = self.connection.post::<ProduceRequest>(version, self.limit, encode);
        let awaited = post.await.map_err(named)?;
        Ok(PendingProduce { awaited, address: self.broker().to_owned() })
    }

    /// The broker's id.
    pub fn broker_id(&self) -> i32 {
        self.broker
    }

    /// The broker's address.
    pub fn broker(&self) -> &str {
        self.connection.broker()
    }

    /// Whether a new request may be sent here. When it may not, those pending may still be answered: an expired
    /// authentication only ends what is sent after it.
    pub fn is_usable(&self) -> bool {
        self.connection.is_usable()
    }

    /// Until when the broker throttles us, if it does.
    pub fn throttled_until(&self) -> Option<Instant> {
        self.connection.throttled_until()
    }

    /// The version of Fetch that is used: 4 to 12.
    pub fn fetch_version(&self) -> Result<i16, WireError> {
        self.connection.version::<FetchRequest>().map_err(|error| error.at(self.broker()))
    }

    /// The version of Produce that is used: 3 to 12.
    pub fn produce_version(&self) -> Result<i16, WireError> {
        self.connection.version::<ProduceRequest>().map_err(|error| error.at(self.broker()))
    }

    /// How long ApiVersions took when the link was made: about a round trip.
    pub fn round_trip(&self) -> Duration {
        self.connection.round_trip()
    }

    /// Ends the connection; what is pending fails.
    pub fn close(&self) {
        self.connection.close();
    }
}

impl PendingProduce {
    /// Waits for the answer; errors of partitions are in it, for the caller to read.
    ///
    /// Of an error, [`WireError::may_have_been_sent`] says whether the broker may have got the request, and so
    /// written the batches. Dropping the future forgets the answer.
    pub async fn answer(mut self) -> Result<ProduceResponse, WireError> {
        let answer = self.awaited.answer().await;
        answer.map_err(|error| error.at(&self.address).during(ProduceRequest::NAME))
    }
}

#[cfg(test)]
mod tests;
