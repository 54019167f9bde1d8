//! The partition's actor: turns messages into inputs of the state machine, and its outputs into deeds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::lag::LagClock;
use crate::engine::{Batch, LaneEvent, Session};
use crate::mesh::shared::{Alarm, FlowContext, LastGeneration, PartitionMsg, Tasks, Unresolved};
use crate::model::{BatchInfo, Event, Fault, FaultKind, Generation, Segment, TopicPartition};
use crate::replicator::partition::{PartitionConfig, PartitionInput, PartitionMachine};
use crate::store::SharedMap;
use crate::telemetry::clock;
use crate::telemetry::{BatchTrace, TopicMetrics};

/// What a partition is made with.
pub(crate) struct PartitionArguments {
    /// The flow.
    pub flow: Arc<FlowContext>,
    /// On the source.
    pub source: TopicPartition,
    /// On the target.
    pub target: TopicPartition,
    /// Whether the topic appeared while the flow ran.
    pub appeared: bool,
    /// Whether these are heartbeats.
    pub heartbeats: bool,
    /// Last generation used.
    pub generation: Generation,
    /// Where the generation is kept that it reaches.
    pub reached: LastGeneration,
    /// Told when the class of the partition's fault changes; `None` when it is over.
    pub on_fault: Box<dyn Fn(Option<FaultKind>) + Send + Sync>,
    /// Metrics of the topic.
    pub metrics: TopicMetrics,
}

/// A source partition of a flow.
pub(crate) struct PartitionActor;

/// A batch between its arrival and its acknowledgement.
pub(super) struct InFlightBatch {
    pub(super) info: BatchInfo,
    /// Kept only of batches that may become spans.
    pub(super) trace: Option<Box<Trace>>,
}

/// When things happened to a batch, and which contexts its records carry.
pub(super) struct Trace {
    pub(super) arrived: SystemTime,
    pub(super) written: SystemTime,
    pub(super) parents: Vec<Vec<u8>>,
}

/// State of a partition.
pub(crate) struct PartitionShell {
    pub(super) args: PartitionArguments,
    pub(super) machine: PartitionMachine,
    pub(super) session: Option<Arc<dyn Session>>,
    /// The partition's offset map, from its first resolution on.
    pub(super) map: Option<SharedMap>,
    /// The batch that was just fetched, until the machine says what to do with it.
    pub(super) fetched: Option<Batch>,
    /// When it arrived, if it may become a span.
    pub(super) arrived: Option<SystemTime>,
    /// Facts of the batches in flight, oldest first.
    pub(super) in_flight: VecDeque<InFlightBatch>,
    pub(super) lag: LagClock,
    pub(super) source_end: Option<i64>,
    pub(super) mirrored_ms: Option<i64>,
    /// The look-up or opening under way.
    pub(super) tasks: Tasks,
    alarm: Alarm<PartitionMsg>,
    /// The fault that the flow was last told.
    told_fault: Option<FaultKind>,
}

impl Actor for PartitionActor {
    type Msg = PartitionMsg;
    type State = PartitionShell;
    type Arguments = PartitionArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: PartitionArguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let config = PartitionConfig {
            positions_interval: args.flow.mesh.spec.positions_interval,
            seed: rand::random(),
            place: format!("flow {}: {} of {}", args.flow.spec.name, args.source, args.flow.spec.from),
        };
        let machine = PartitionMachine::new(config, args.generation);
        let mut shell = PartitionShell {
            machine,
            session: None,
            map: None,
            fetched: None,
            arrived: None,
            in_flight: VecDeque::new(),
            lag: LagClock::default(),
            source_end: None,
            mirrored_ms: None,
            tasks: Tasks::default(),
            alarm: Alarm::default(),
            told_fault: None,
            args,
        };
        shell.step(&myself, PartitionInput::Start);
        Ok(shell)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let current = shell.machine.generation();
        match message {
            PartitionMsg::Lane(generation, event) if generation == current => shell.lane(&myself, event),
            PartitionMsg::Opened(generation, outcome) if generation == current => match outcome {
                Ok((session, _)) => {
                    shell.session = Some(session);
                    shell.step(&myself, PartitionInput::LaneOpened);
                }
                Err(error) => {
                    let advice = "correct the client settings of the cluster and start again";
                    let fault = Fault::new(FaultKind::Other, error.to_string(), advice);
                    shell.step(&myself, PartitionInput::ResolveFailed(fault));
                }
            },
            PartitionMsg::Resolved(generation, outcome) if generation == current => match *outcome {
                Ok(resolution) => {
                    shell.map = Some(shell.args.flow.maps.resume(&shell.args.source, &resolution));
                    shell.step(&myself, PartitionInput::Resolved(Box::new(resolution)));
                }
                Err(Unresolved::Waits(what)) => shell.step(&myself, PartitionInput::ResolveWaits(what)),
                Err(Unresolved::Fault(fault)) => shell.step(&myself, PartitionInput::ResolveFailed(fault)),
            },
            // What an older generation left behind; a batch in it frees its share of the budget here.
            PartitionMsg::Lane(..) | PartitionMsg::Opened(..) | PartitionMsg::Resolved(..) => {}
            PartitionMsg::Saved => shell.step(&myself, PartitionInput::PositionSaved),
            PartitionMsg::NotSaved(fault) => shell.step(&myself, PartitionInput::PositionFailed(fault)),
            PartitionMsg::End { end, leader_epoch } => {
                shell.source_end = Some(end);
                shell.lag.saw_end(end, clock::now_ms());
                shell.step(&myself, PartitionInput::CreditBlocked(shell.args.flow.is_held_back()));
                shell.step(&myself, PartitionInput::Bounds { end, leader_epoch });
            }
            PartitionMsg::SourceMoved => shell.step(&myself, PartitionInput::SourceMoved),
            PartitionMsg::TargetMoved => shell.step(&myself, PartitionInput::TargetMoved),
            PartitionMsg::Pause => shell.step(&myself, PartitionInput::Pause),
            PartitionMsg::Resume => shell.step(&myself, PartitionInput::Resume),
            PartitionMsg::Drain => shell.step(&myself, PartitionInput::Drain),
            PartitionMsg::Closed => myself.stop(None),
            PartitionMsg::Panicked(panicked) => return Err(panicked.into()),
            PartitionMsg::Tick => {
                shell.alarm.rang();
                shell.step(&myself, PartitionInput::Tick);
            }
        }
        Ok(())
    }
}

impl PartitionShell {
    /// One input through the machine, and all that follows from it.
    pub(super) fn step(&mut self, myself: &ActorRef<PartitionMsg>, input: PartitionInput) {
        let mut outputs = Vec::new();
        self.machine.handle(self.now(), input, &mut outputs);
        self.args.reached.reached(self.machine.generation());
        for output in outputs {
            self.perform(myself, output);
        }
        self.alarm.set(myself, self.machine.deadline(), self.now(), || PartitionMsg::Tick);
        self.tell_fault();
        self.show();
    }

    /// Tells the flow what is wrong, once.
    fn tell_fault(&mut self) {
        let now = self.machine.fault().map(|fault| fault.kind);
        if now != self.told_fault {
            self.told_fault = now;
            (self.args.on_fault)(now);
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.args.flow.mesh.epoch.elapsed()
    }

    fn lane(&mut self, myself: &ActorRef<PartitionMsg>, event: LaneEvent) {
        match event {
            LaneEvent::Fetched(batch) => {
                let info = batch.info;
                self.arrived = self.args.flow.mesh.telemetry.spans().due().then(clock::now);
                self.fetched = Some(batch);
                self.step(myself, PartitionInput::Fetched(info));
            }
            LaneEvent::Acknowledged { source_next, target_next, segments, bytes } => {
                if let Some(batch) = self.in_flight.pop_front() {
                    self.mirrored(&batch.info, bytes);
                    self.trace(&batch, &segments);
                }
                self.step(myself, PartitionInput::Acknowledged { source_next, target_next, segments });
            }
            LaneEvent::SourceFailed(error) => {
                let input = self.source_failed(error);
                self.step(myself, input);
            }
            LaneEvent::WriteFailed(error) => {
                self.in_flight.clear();
                // The engine names partitions; which clusters they are on is known here.
                let spec = &self.args.flow.spec;
                let what = format!("{} to {}: {}", spec.from, spec.to, error.fault.what);
                let fault = Fault { what, ..error.fault };
                self.step(myself, PartitionInput::WriteFailed { class: error.class, fault });
            }
            LaneEvent::SessionLost(reason) => {
                self.in_flight.clear();
                self.step(myself, PartitionInput::SessionLost(reason));
            }
            LaneEvent::Report(event) => self.report(&event),
        }
    }

    fn mirrored(&mut self, info: &BatchInfo, bytes: u64) {
        if info.records == 0 {
            return;
        }
        let latency = (info.max_timestamp_ms > 0).then(|| (clock::now_ms() - info.max_timestamp_ms).max(0));
        if info.max_timestamp_ms > 0 {
            self.mirrored_ms = Some(info.max_timestamp_ms);
        }
        self.args.metrics.mirrored(u64::from(info.records), bytes, latency);
        self.args.flow.board.update(&self.args.source, |status| {
            status.records += u64::from(info.records);
            status.bytes += bytes;
            status.latency_ms = latency.or(status.latency_ms);
        });
    }

    fn trace(&self, batch: &InFlightBatch, segments: &[Segment]) {
        let Some(trace) = &batch.trace else { return };
        let flow = &self.args.flow;
        let told = BatchTrace {
            flow: &flow.spec.name,
            from: &flow.spec.from,
            to: &flow.spec.to,
            source_topic: &self.args.source.topic,
            target_topic: &self.args.target.topic,
            partition: self.args.source.partition,
            source_base: batch.info.source_base,
            target_base: segments.first().map(|segment| segment.target_base),
            records: batch.info.records,
            received: (trace.arrived, trace.written),
            sent: (trace.written, clock::now()),
        };
        flow.mesh.telemetry.spans().batch_mirrored(&told, trace.parents.iter().map(Vec::as_slice));
    }

    pub(super) fn report(&self, event: &Event) {
        self.args.flow.report_partition(&self.args.source, event);
    }

    fn show(&mut self) {
        let next = self.machine.source_next();
        let now_ms = clock::now_ms();
        let lag_ms = next.and_then(|next| self.lag.lag_ms(next, self.mirrored_ms, now_ms));
        let retry_at_ms = self.machine.retry_at().map(|at| {
            now_ms + i64::try_from(at.saturating_sub(self.now()).as_millis()).unwrap_or(i64::MAX - now_ms)
        });
        let (machine, end) = (&self.machine, self.source_end);
        self.args.flow.board.update(&self.args.source, |status| {
            status.state = machine.state();
            status.reason = machine.reason();
            status.fault = machine.fault().map(|fault| fault.kind);
            status.retry_at_ms = retry_at_ms;
            status.generation = machine.generation();
            status.source_next = next;
            status.target_next = machine.target_next();
            // Acknowledgements may run ahead of the last look at the end.
            status.source_end = end.max(next);
            status.lag_records = end.zip(next).map(|(end, next)| (end - next).max(0));
            status.lag_ms = lag_ms;
            status.in_flight_bytes = machine.in_flight_bytes() as u64;
        });
    }
}
