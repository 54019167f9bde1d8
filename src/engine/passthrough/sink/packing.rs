//! From stored batches to those that the target takes: unopened where that is possible.

use crate::batch::{
    Acceptance, BatchError, Carriage, RawBatch, RepackError, RepackProblem, Run, carriage, repack,
};

/// A batch for the target, and which source offsets its records have.
pub(super) struct Content {
    pub(super) raw: RawBatch,
    pub(super) runs: Vec<Run>,
}

/// What became of stored batches.
pub(super) struct Packing {
    /// In order; none when nothing of them is for the target.
    pub(super) contents: Vec<Content>,
    /// What came after `contents` can't be packed.
    pub(super) problem: Option<PackProblem>,
    /// Why a batch was opened, in words; for logs.
    pub(super) opened: Option<String>,
}

/// Why something can't be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PackProblem {
    /// A record is larger than the target takes.
    RecordTooLarge { offset: i64, bytes: usize, limit: usize },
    /// A batch is damaged.
    Batch(String),
}

impl From<BatchError> for PackProblem {
    fn from(error: BatchError) -> Self {
        Self::Batch(error.to_string())
    }
}

impl From<RepackProblem> for PackProblem {
    fn from(problem: RepackProblem) -> Self {
        match problem {
            RepackProblem::RecordTooLarge { offset, bytes, limit } => {
                Self::RecordTooLarge { offset, bytes, limit }
            }
            RepackProblem::Batch(error) => error.into(),
        }
    }
}

/// Packs what follows on `wanted_offset`: a single batch unopened, if the target takes it so. A record that is larger
/// than `target` says is let through alone, up to `most_bytes`.
pub(super) fn pack(
    batches: &[RawBatch],
    wanted_offset: i64,
    target: &Acceptance,
    most_bytes: usize,
) -> Packing {
    let [batch] = batches else {
        return open(batches, wanted_offset, target, most_bytes, "merged".to_owned());
    };
    match carriage(batch, wanted_offset, target) {
        Carriage::Drop(_) => Packing { contents: Vec::new(), problem: None, opened: None },
        Carriage::AsIs => {
            let header = batch.header();
            // As many as the offsets go: that is what "as is" means.
            let count = header.record_count.unsigned_abs();
            let content =
                Content { raw: batch.clone(), runs: vec![Run { source_base: header.base_offset, count }] };
            Packing { contents: vec![content], problem: None, opened: None }
        }
        Carriage::Open(reasons) => open(batches, wanted_offset, target, most_bytes, reasons.to_string()),
    }
}

/// Writes batches anew.
fn open(
    batches: &[RawBatch],
    wanted_offset: i64,
    target: &Acceptance,
    most_bytes: usize,
    why: String,
) -> Packing {
    // What is opened gets a new checksum: the old one has to be right first. Left closed, it stays as it is.
    let intact = batches.iter().position(|batch| batch.verify_crc().is_err());
    let (intact, damaged) = batches.split_at(intact.unwrap_or(batches.len()));
    let damage = damaged.first().and_then(|batch| batch.verify_crc().err()).map(PackProblem::from);
    let mut target = *target;
    let (packed, problem) = loop {
        match repack(intact, wanted_offset, &target) {
            Ok(packed) => break (packed, damage),
            // The limit was a guess, after a larger batch was refused; the record is put to the test.
            Err(RepackError { problem: RepackProblem::RecordTooLarge { bytes, .. }, .. })
                if bytes > target.max_message_bytes && bytes <= most_bytes =>
            {
                target.max_message_bytes = bytes;
            }
            Err(error) => break (error.before, Some(error.problem.into())),
        }
    };
    let contents =
        packed.into_iter().map(|packed| Content { raw: packed.batch, runs: packed.runs }).collect();
    Packing { contents, problem, opened: Some(why) }
}

/// Writes a batch without gaps anew: in parts smaller than the target's limit, or than `most_bytes` where a record
/// takes more, or with another codec. Offsets are those of the batch, which need not be the source's.
pub(super) fn again(raw: &RawBatch, target: &Acceptance, most_bytes: usize) -> Packing {
    open(std::slice::from_ref(raw), raw.header().base_offset, target, most_bytes, "refused".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Codecs};
    use crate::model::Codec;

    const TARGET: Acceptance =
        Acceptance { max_message_bytes: 10_000, append_time: false, refused: Codecs::NONE };

    fn batch(base_offset: i64, records: i64) -> RawBatch {
        let mut builder = BatchBuilder::new(Codec::None).base_offset(base_offset);
        for index in 0..records {
            builder.push(1_000 + index, Some(b"key"), Some(b"value"), &[]);
        }
        RawBatch::parse(builder.build().expect("records were pushed")).expect("it was built")
    }

    fn damaged() -> RawBatch {
        let mut bytes = batch(10, 3).bytes().to_vec();
        *bytes.last_mut().expect("a batch has bytes") ^= 1;
        RawBatch::parse(bytes.into()).expect("the header is sound")
    }

    #[test]
    fn a_whole_batch_shares_the_memory_it_came_in() {
        let whole = batch(10, 3);
        let packing = pack(std::slice::from_ref(&whole), 10, &TARGET, 10_000);
        assert_eq!(packing.contents[0].raw, whole);
        assert_eq!(packing.contents[0].raw.bytes().as_ptr(), whole.bytes().as_ptr());
        assert_eq!(packing.contents[0].runs, [Run { source_base: 10, count: 3 }]);
        assert!(packing.opened.is_none());
    }

    #[test]
    fn a_damaged_batch_is_not_given_a_new_checksum() {
        let packing = pack(&[batch(7, 3), damaged()], 8, &TARGET, 10_000);
        let runs: Vec<_> = packing.contents.iter().flat_map(|content| &content.runs).copied().collect();
        assert_eq!(runs, [Run { source_base: 8, count: 2 }], "what comes before is packed");
        assert!(matches!(packing.problem, Some(PackProblem::Batch(_))), "{:?}", packing.problem);
    }
}
