//! A batch on its way to the target: what becomes of its records.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::types::RDKafkaErrorCode;

use super::acks::{AckFailure, AckRun, SourceRuns};
use super::lane::Lane;
use crate::engine::WriteError;
use crate::engine::budget::Permit;
use crate::model::{Generation, Segment};

/// A batch in flight. Its records carry it through the client, and each delivery report comes back to it.
pub(super) struct BatchAck {
    lane: Arc<Lane>,
    generation: Generation,
    progress: Mutex<Progress>,
}

struct Progress {
    run: AckRun,
    permit: Option<Permit>,
    source_next: i64,
    bytes: u64,
    sent: SentRecords,
}

/// How much of a batch the client was given.
enum SentRecords {
    /// It is being given.
    Some,
    /// All of it.
    All(u32),
    /// What precedes a record that was not given.
    Part(u32),
    /// The lane doesn't wait for the batch any more.
    Forgotten,
}

/// What a batch came to.
pub(super) enum Outcome {
    /// It is not decided.
    Open,
    /// Its records, or those before one that was refused, are on the target.
    Written { source_next: i64, segments: Vec<Segment>, bytes: u64 },
    /// Nothing of it was given to the client.
    Nothing,
    /// A record did not certainly arrive.
    Failed { source_offset: i64, failure: AckFailure },
}

impl BatchAck {
    /// A batch that is about to be given to the client.
    pub(super) fn new(
        lane: Arc<Lane>,
        generation: Generation,
        sources: SourceRuns,
        source_next: i64,
        permit: Permit,
    ) -> Self {
        let run = AckRun::new(sources);
        let progress = Progress { run, permit: Some(permit), source_next, bytes: 0, sent: SentRecords::Some };
        Self { lane, generation, progress: Mutex::new(progress) }
    }

    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Takes the report of the next record. Called by the thread that serves the client's reports.
    pub(super) fn report(&self, result: Result<i64, RDKafkaErrorCode>) {
        let mut progress = self.progress.lock();
        if matches!(progress.sent, SentRecords::Forgotten) {
            return;
        }
        progress.run.report(result);
        let failed = progress.run.failure().is_some();
        let complete = progress.is_complete();
        drop(progress);
        if failed {
            self.lane.stop_writes();
        }
        if complete {
            self.lane.settle();
        }
    }

    /// Says that the whole batch was given to the client.
    pub(super) fn given(&self, records: usize, bytes: u64) {
        self.close(None, SentRecords::All(count(records)), bytes);
    }

    /// Says that only the first `records` were given to the client: the next one is refused, or the lane had
    /// failed already.
    pub(super) fn cut(&self, records: usize, refused: Option<WriteError>, bytes: u64) {
        self.close(refused, SentRecords::Part(count(records)), bytes);
    }

    fn close(&self, refused: Option<WriteError>, sent: SentRecords, bytes: u64) {
        if let Some(error) = refused {
            self.lane.refuse(self.generation, error);
        }
        let mut progress = self.progress.lock();
        if matches!(progress.sent, SentRecords::Forgotten) {
            return;
        }
        if let SentRecords::Part(records) = sent
            && let Some(offset) = progress.run.source_at(records)
        {
            progress.source_next = offset;
        }
        progress.sent = sent;
        progress.bytes = bytes;
        let complete = progress.is_complete();
        drop(progress);
        if complete {
            self.lane.settle();
        }
    }

    /// The lane doesn't wait for the batch any more: what is still reported means nothing.
    pub(super) fn forget(&self) {
        let mut progress = self.progress.lock();
        progress.sent = SentRecords::Forgotten;
        progress.permit = None;
    }

    /// What the batch came to; frees its memory once that is decided.
    pub(super) fn outcome(&self) -> Outcome {
        let mut progress = self.progress.lock();
        if !progress.is_complete() {
            return Outcome::Open;
        }
        progress.permit = None;
        if let Some((source_offset, failure)) = progress.run.failure() {
            return Outcome::Failed { source_offset: *source_offset, failure: failure.clone() };
        }
        if matches!(progress.sent, SentRecords::Part(0)) {
            return Outcome::Nothing;
        }
        Outcome::Written {
            source_next: progress.source_next,
            segments: progress.run.take_segments(),
            bytes: progress.bytes,
        }
    }
}

impl Progress {
    fn is_complete(&self) -> bool {
        match self.sent {
            SentRecords::All(records) | SentRecords::Part(records) => records == self.run.reported(),
            SentRecords::Some | SentRecords::Forgotten => false,
        }
    }
}

fn count(records: usize) -> u32 {
    u32::try_from(records).expect("a batch holds at most a few thousand records")
}
