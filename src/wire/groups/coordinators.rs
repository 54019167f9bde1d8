//! Who coordinates which group, and questions for coordinators: all of them at once, tried again where groups moved.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use crate::wire::call::Call;
use crate::wire::client::Wire;
use crate::wire::connection::Connection;
use crate::wire::dial::Address;
use crate::wire::error::{WireError, WireErrorKind};
use crate::wire::names::text;
use crate::wire::pool::Purpose;
use crate::wire::retry::Retry;

/// First version of FindCoordinator that takes many keys (KIP-699, Kafka 3.0).
const MANY_KEYS_SINCE: i16 = 4;
/// Groups looked up in one request: an answer of some 50 KB.
const KEYS_PER_REQUEST: usize = 500;
/// Requests under way at once on one connection. The broker works on one of them; the next is there when it is done.
const PIPELINED: usize = 2;
/// Look-ups under way at once where each takes a request of its own.
const LOOK_UPS_AT_ONCE: usize = 32;
/// The share of a call's time below which no request is begun: one cut short would cost the connection.
const LAST_SHARE: f64 = 0.1;

/// How the questions about many groups are spread over requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// Groups in one request.
    pub(super) groups_per_request: usize,
    /// Connections to each coordinator; with 0 the one for look-ups.
    pub(super) lanes: u8,
}

impl Spread {
    fn purpose(self, request: usize) -> Purpose {
        match u8::try_from(request % usize::from(self.lanes.max(1))) {
            Ok(lane) if self.lanes > 0 => Purpose::Commit(lane),
            _ => Purpose::Admin,
        }
    }

    fn at_once(self) -> usize {
        usize::from(self.lanes.max(1)) * PIPELINED
    }
}

/// Which of the caller's groups, and its answer.
type Answered<A> = (usize, Result<A, WireError>);

impl Wire {
    /// Asks the coordinator of each group, and answers in the order of the groups. Each failure is the group's own.
    ///
    /// `ask` sends what concerns some of the groups (by index) to their coordinator, and returns their answers in
    /// the same order. `again` may forbid another try where repeating does harm.
    pub(super) async fn by_coordinator<A, F, Fut>(
        &self,
        groups: &[&str],
        spread: Spread,
        ask: F,
        again: impl Fn(&WireError) -> bool,
    ) -> Vec<Result<A, WireError>>
    where
        F: Fn(Arc<Connection>, Vec<usize>, Duration) -> Fut,
        Fut: Future<Output = Result<Vec<Result<A, WireError>>, WireError>>,
    {
        let mut answers: Vec<Option<Result<A, WireError>>> = groups.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..groups.len()).collect();
        let mut retry = self.retry();
        while !open.is_empty() {
            let unknown: Vec<&str> = open.iter().map(|index| groups[*index]).collect();
            let refusals = self.look_up_coordinators(&unknown, &retry).await;
            let mut brokers: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
            for &index in &open {
                match self.view().read().coordinator(groups[index]) {
                    Some(broker) => brokers.entry(broker).or_default().push(index),
                    None => {
                        let error = refusals.get(groups[index]).cloned();
                        answers[index] = Some(Err(error.unwrap_or_else(|| self.no_coordinator())));
                    }
                }
            }
            let asked = brokers
                .into_iter()
                .map(|(broker, indexes)| self.ask_coordinator(broker, indexes, spread, &retry, &ask));
            for (index, answer) in join_all(asked).await.into_iter().flatten() {
                if matches!(&answer, Err(error) if has_moved(error)) {
                    self.view().write().forget_coordinator(groups[index]);
                }
                answers[index] = Some(answer);
            }
            let error_of = |index: &usize| answers[*index].as_ref()?.as_ref().err();
            open.retain(|index| {
                error_of(index).is_some_and(|error| error.is_worth_another_try() && again(error))
            });
            // A broker that can't be reached is given up sooner than what only needs time.
            let patient = open.iter().filter_map(error_of).find(|error| !error.is_unreachable());
            let Some(error) = patient.or_else(|| open.first().and_then(error_of)).cloned() else { break };
            if retry.pause_after(error).await.is_err() {
                break;
            }
        }
        let answered = groups.iter().zip(answers).map(|(group, answer)| {
            let answer = answer.unwrap_or_else(|| Err(self.no_coordinator()));
            answer.map_err(|error| error.about(format_args!("group `{group}`")))
        });
        answered.collect()
    }

    async fn ask_coordinator<A, F, Fut>(
        &self,
        broker: i32,
        indexes: Vec<usize>,
        spread: Spread,
        retry: &Retry,
        ask: &F,
    ) -> Vec<Answered<A>>
    where
        F: Fn(Arc<Connection>, Vec<usize>, Duration) -> Fut,
        Fut: Future<Output = Result<Vec<Result<A, WireError>>, WireError>>,
    {
        let mut requests = Vec::new();
        for (number, asked) in indexes.chunks(spread.groups_per_request).enumerate() {
            let (asked, purpose) = (asked.to_vec(), spread.purpose(number));
            requests.push(async move {
                let outcome = match self.coordinator(broker, purpose, retry).await {
                    Ok(connection) => ask(connection, asked.clone(), retry.left()).await,
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(answers) => asked.into_iter().zip(answers).collect::<Vec<_>>(),
                    Err(error) => asked.into_iter().map(|index| (index, Err(error.clone()))).collect(),
                }
            });
        }
        stream::iter(requests).buffer_unordered(spread.at_once()).concat().await
    }

    /// A connection to a coordinator, if there is time for a request.
    async fn coordinator(
        &self,
        broker: i32,
        purpose: Purpose,
        retry: &Retry,
    ) -> Result<Arc<Connection>, WireError> {
        if retry.left() < self.request_timeout().mul_f64(LAST_SHARE) {
            return Err(self.error(WireErrorKind::Timeout(self.request_timeout())));
        }
        let connection = self.broker(broker, purpose).await;
        if matches!(&connection, Err(error) if error.is_unreachable()) {
            self.view().write().forget_address(broker);
        }
        connection
    }

    /// Asks for the coordinators that are not known; returns why some are still not.
    async fn look_up_coordinators<'a>(
        &self,
        groups: &[&'a str],
        retry: &Retry,
    ) -> HashMap<&'a str, WireError> {
        let unknown: Vec<&'a str> = {
            let view = self.view().read();
            groups.iter().copied().filter(|group| view.coordinator(group).is_none()).collect()
        };
        if unknown.is_empty() {
            return HashMap::new();
        }
        let connection = async {
            let connection = self.any().await?;
            let version = connection.version::<FindCoordinatorRequest>()?;
            Ok((connection, version))
        };
        let (connection, version) = match connection.await {
            Ok(found) => found,
            Err(error) => return all(&unknown, &error),
        };
        let per_request = if version >= MANY_KEYS_SINCE { KEYS_PER_REQUEST } else { 1 };
        let mut requests = Vec::new();
        for asked in unknown.chunks(per_request) {
            let connection = &connection;
            requests.push(async move {
                let found = connection.call_in(version, retry.left(), find_request(version, asked)).await;
                match found {
                    Ok(answer) => self.learn_coordinators(connection, asked, by_key(version, asked, answer)),
                    Err(error) => all(asked, &error),
                }
            });
        }
        let refusals: Vec<HashMap<_, _>> =
            stream::iter(requests).buffer_unordered(LOOK_UPS_AT_ONCE).collect().await;
        refusals.into_iter().flatten().collect()
    }

    /// Notes who coordinates what; returns why some have no coordinator.
    fn learn_coordinators<'a>(
        &self,
        connection: &Connection,
        asked: &[&'a str],
        found: HashMap<String, Coordinator>,
    ) -> HashMap<&'a str, WireError> {
        let refusal = |code, message: Option<&str>| {
            self.refused(code, message).at(connection.broker()).during(FindCoordinatorRequest::NAME)
        };
        let mut refusals = HashMap::new();
        let mut view = self.view().write();
        for group in asked {
            let Some(found) = found.get(*group) else {
                let detail = format!("the answer leaves out group `{group}`");
                let error = connection.error(WireErrorKind::Protocol(detail));
                refusals.insert(*group, error.during(FindCoordinatorRequest::NAME));
                continue;
            };
            if let Some(code) = found.error_code.err() {
                refusals.insert(*group, refusal(code, found.error_message.as_deref()));
                continue;
            }
            view.learn_coordinator(group, found.node_id.0);
            // A coordinator that has just come back may listen elsewhere than the metadata says.
            if let Ok(port) = u16::try_from(found.port) {
                view.learn_address(found.node_id.0, Address { host: found.host.to_string(), port });
            }
        }
        refusals
    }

    fn no_coordinator(&self) -> WireError {
        self.refused(ResponseError::CoordinatorNotAvailable, None)
    }
}

/// Whether the group's coordinator should be looked for anew.
fn has_moved(error: &WireError) -> bool {
    let moved =
        matches!(error.code(), Some(ResponseError::NotCoordinator | ResponseError::CoordinatorNotAvailable));
    moved || error.is_unreachable()
}

fn all<'a>(groups: &[&'a str], error: &WireError) -> HashMap<&'a str, WireError> {
    groups.iter().map(|group| (*group, error.clone())).collect()
}

/// Key type 0, which is the default: groups.
fn find_request(version: i16, groups: &[&str]) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default();
    match version {
        MANY_KEYS_SINCE.. => request.with_coordinator_keys(groups.iter().map(|group| text(group)).collect()),
        _ => request.with_key(groups.first().map(|group| text(group)).unwrap_or_default()),
    }
}

/// What was found, by group. An answer about a single key doesn't repeat the key.
fn by_key(version: i16, asked: &[&str], answer: FindCoordinatorResponse) -> HashMap<String, Coordinator> {
    if version >= MANY_KEYS_SINCE {
        return answer.coordinators.into_iter().map(|found| (found.key.to_string(), found)).collect();
    }
    let found = Coordinator::default()
        .with_node_id(answer.node_id)
        .with_host(answer.host)
        .with_port(answer.port)
        .with_error_code(answer.error_code)
        .with_error_message(answer.error_message);
    asked.iter().map(|group| ((*group).to_owned(), found.clone())).collect()
}
