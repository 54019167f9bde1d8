//! Writing the records of batches anew: without gaps, from an offset on, in batches that the target takes.

use thiserror::Error;

use super::allowance::DEFAULT_LIMIT_BYTES;
use super::header::HEADER_BYTES;
use super::record::Frame;
use super::transcode::{Opened, encode, frame_bytes};
use super::{Acceptance, BatchError, RawBatch};
use crate::model::Codec;

/// Batches are opened together up to this many bytes of records: enough to fill the largest common batch, and a bound
/// for what a merged batch asks of readers, who may have to decompress it whole.
const OPENED_TOGETHER_BYTES: usize = 16 << 20;

/// Most bytes of records, before compression, for which a batch has numbers.
const LARGEST_BODY_BYTES: usize = i32::MAX as usize - HEADER_BYTES;

/// A batch that was written anew, and where its records were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The batch: magic 2, base offset 0, no producer, no gaps, no flags. Give it one with [`RawBatch::restamp`].
    pub batch: RawBatch,
    /// Which source offsets its records had, in order.
    pub runs: Vec<Run>,
}

/// Records whose source offsets rise by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Source offset of the first.
    pub source_base: i64,
    /// How many.
    pub count: u32,
}

impl Run {
    /// Source offset after the run.
    pub fn source_next(&self) -> i64 {
        self.source_base + i64::from(self.count)
    }
}

/// Records that could not be written anew, and those before them that could.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct RepackError {
    /// What comes before the record or batch that failed, and can still be delivered.
    pub before: Vec<Packed>,
    /// What went wrong.
    pub problem: RepackProblem,
}

/// Why records can't be written anew.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RepackProblem {
    /// One record alone is more than the target takes.
    #[error(
        "the record at offset {offset} takes {bytes} bytes as a batch of its own, and the target topic allows {limit}: \
         raise the topic's max.message.bytes"
    )]
    RecordTooLarge {
        /// Source offset of the record.
        offset: i64,
        /// Bytes of the smallest batch that holds it.
        bytes: usize,
        /// The target's limit.
        limit: usize,
    },
    /// A batch can't be opened, or not be compressed again.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Writes the records of consecutive batches of one partition anew, so that the target takes them.
///
/// Records below `wanted_offset` are left out, gaps are closed, append time becomes the records' own time, small
/// batches become large ones, and none is larger than [`Acceptance::max_message_bytes`]. What a record holds is kept
/// bit for bit. Compressed is as the first compressed batch was, or, if the target refuses that, the way next to it
/// that it takes. Control batches and emptied ones hold nothing and are passed over, so there may be nothing to send.
/// Checksums are not looked at: see [`RawBatch::verify_crc`]. Nor are transactions: aborted batches must not be given.
///
/// At most 16 MiB of records (or one batch, see [`DEFAULT_LIMIT_BYTES`]) are open at a time; writing them takes as
/// much again for a moment. Fails at a batch that can't be read, whose records are then left out whole, and at a
/// record that is too large even alone; what comes before is in the error.
pub fn repack(
    batches: &[RawBatch],
    wanted_offset: i64,
    target: &Acceptance,
) -> Result<Vec<Packed>, RepackError> {
    let holding: Vec<&RawBatch> = batches.iter().filter(|batch| holds_data(batch)).collect();
    let mut packer = Packer {
        limit: target.max_message_bytes.min(i32::MAX as usize),
        codec: codec(&holding, target),
        scratch: Vec::new(),
        packed: Vec::new(),
    };
    let mut rest = &holding[..];
    while !rest.is_empty() {
        match packer.take_some(rest, wanted_offset) {
            Ok(taken) => rest = &rest[taken..],
            Err(problem) => return Err(RepackError { before: packer.packed, problem }),
        }
    }
    Ok(packer.packed)
}

fn holds_data(batch: &RawBatch) -> bool {
    !batch.header().is_control() && batch.header().record_count != 0
}

/// What to compress with.
fn codec(batches: &[&RawBatch], target: &Acceptance) -> Codec {
    let mut codecs = batches.iter().filter_map(|batch| batch.header().codec().ok());
    let Some(wanted) = codecs.find(|codec| *codec != Codec::None) else {
        return Codec::None;
    };
    // LZ4 is the cheapest, and all brokers since 0.8.2 know these three.
    [wanted, Codec::Lz4, Codec::Snappy, Codec::Gzip]
        .into_iter()
        .find(|codec| !target.refused.contains(*codec))
        .unwrap_or(Codec::None)
}

/// Cuts records into batches.
#[derive(Debug)]
struct Packer {
    /// Most bytes of a batch.
    limit: usize,
    codec: Codec,
    scratch: Vec<u8>,
    packed: Vec<Packed>,
}

impl Packer {
    /// Packs as many of the batches as may be open together, and returns how many. At least one.
    fn take_some(&mut self, batches: &[&RawBatch], wanted_offset: i64) -> Result<usize, RepackProblem> {
        let most_bytes = OPENED_TOGETHER_BYTES.max(self.limit);
        let (mut stored_bytes, mut opened_bytes) = (0, 0);
        let mut opened = Vec::new();
        let mut failed = None;
        for batch in batches {
            match Opened::open(batch, DEFAULT_LIMIT_BYTES) {
                Ok(one) => {
                    stored_bytes += batch.bytes().len();
                    opened_bytes += one.len_bytes();
                    opened.push(one);
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            if opened_bytes >= most_bytes {
                break;
            }
        }
        let mut frames = Vec::new();
        for one in &opened {
            if let Err(error) = one.list(wanted_offset, &mut frames) {
                failed = Some(error);
                break;
            }
        }
        self.pack(&frames, self.budget_bytes(stored_bytes, opened_bytes))?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(opened.len()),
        }
    }

    /// How many bytes of records to try as one batch, judged by how well the batches they come from were compressed.
    fn budget_bytes(&self, stored_bytes: usize, opened_bytes: usize) -> usize {
        if self.codec == Codec::None {
            return self.limit.saturating_sub(HEADER_BYTES);
        }
        // What the target takes as it is may stay in one piece.
        if stored_bytes <= self.limit {
            return LARGEST_BODY_BYTES;
        }
        // A sixteenth less, as our compression may be a little worse than theirs: one byte too many halves a batch.
        let budget = opened_bytes as u128 * self.limit as u128 / stored_bytes as u128 * 15 / 16;
        usize::try_from(budget).map_or(LARGEST_BODY_BYTES, |budget| budget.min(LARGEST_BODY_BYTES))
    }

    fn pack(&mut self, frames: &[Frame<'_>], budget_bytes: usize) -> Result<(), RepackProblem> {
        let mut rest = frames;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest, budget_bytes));
            self.pack_or_halve(now)?;
            rest = later;
        }
        Ok(())
    }

    /// Packs the records as one batch, or as more if it comes out too large.
    fn pack_or_halve(&mut self, frames: &[Frame<'_>]) -> Result<(), RepackProblem> {
        let batch = self.encode(frames, self.codec)?;
        if batch.bytes().len() <= self.limit {
            self.packed.push(Packed { batch, runs: runs(frames) });
            return Ok(());
        }
        if let [only] = frames {
            return self.pack_alone(only, batch.bytes().len());
        }
        let (first, second) = frames.split_at(frames.len() / 2);
        self.pack_or_halve(first)?;
        self.pack_or_halve(second)
    }

    /// Packs a record that is too large when compressed: what doesn't compress gets larger by it.
    fn pack_alone(&mut self, frame: &Frame<'_>, compressed_bytes: usize) -> Result<(), RepackProblem> {
        let frames = std::slice::from_ref(frame);
        let batch = self.encode(frames, Codec::None)?;
        let bytes = batch.bytes().len().min(compressed_bytes);
        if batch.bytes().len() > self.limit {
            return Err(RepackProblem::RecordTooLarge { offset: frame.offset, bytes, limit: self.limit });
        }
        self.packed.push(Packed { batch, runs: runs(frames) });
        Ok(())
    }

    fn encode(&mut self, frames: &[Frame<'_>], codec: Codec) -> Result<RawBatch, RepackProblem> {
        let offset = frames.first().map_or(-1, |frame| frame.offset);
        Ok(encode(frames, codec, &mut self.scratch).map_err(|problem| problem.at(offset))?)
    }
}

/// How many records make a batch of about `budget_bytes` of them. At least one.
fn fitting(frames: &[Frame<'_>], budget_bytes: usize) -> usize {
    let base_timestamp_ms = frames.first().map_or(0, |frame| frame.timestamp_ms);
    let mut bytes = 0_usize;
    let beyond = frames.iter().enumerate().position(|(index, frame)| {
        bytes = bytes.saturating_add(frame_bytes(frame, base_timestamp_ms, index));
        index > 0 && bytes > budget_bytes
    });
    beyond.unwrap_or(frames.len())
}

fn runs(frames: &[Frame<'_>]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for frame in frames {
        match runs.last_mut() {
            Some(run) if run.source_next() == frame.offset => run.count += 1,
            _ => runs.push(Run { source_base: frame.offset, count: 1 }),
        }
    }
    runs
}
