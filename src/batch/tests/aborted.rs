//! The filter against a model log of interleaved transactions.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::header::CONTROL;
use crate::batch::{AbortedFilter, BatchContent, ControlKind, control_kind};

fn data_batch(offset: i64, producer: Option<i64>) -> RawBatch {
    let mut builder = BatchBuilder::new(Codec::None)
        .base_offset(offset)
        .producer(producer.unwrap_or(-1), 0, 0)
        .transactional(producer.is_some());
    builder.push(0, None, Some(b"v"), &[]);
    only(&builder.build().unwrap())
}

fn marker(offset: i64, producer: i64, key: Option<&[u8]>) -> RawBatch {
    let mut builder =
        BatchBuilder::new(Codec::None).base_offset(offset).producer(producer, 0, -1).transactional(true);
    builder.push(0, key, Some(&[0; 6]), &[]);
    let forged = forge(&builder.build().unwrap(), |bytes| bytes[22] |= CONTROL as u8);
    only(&forged)
}

const ABORT: &[u8] = &[0, 0, 0, 0];
const COMMIT: &[u8] = &[0, 0, 0, 1];

/// A step of the log: producer 0 writes without transactions, 1 to 3 write or end their transaction.
#[derive(Clone, Debug)]
enum Step {
    Write(i64),
    End(i64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..4_i64).prop_map(Step::Write),
        1 => (1..4_i64, any::<bool>()).prop_map(|(producer, abort)| Step::End(producer, abort)),
    ]
}

/// A transaction: its producer, first and last offset, and whether it was aborted (once it has ended).
struct Transaction {
    producer: i64,
    first: i64,
    last: Option<(i64, bool)>,
}

proptest! {
    /// A fetch may start anywhere, and lists the aborted transactions that overlap what it returns.
    #[test]
    fn exactly_the_aborted_batches_are_skipped(steps in vec(step(), 1..60), start in 0..60_usize) {
        let mut log: Vec<(RawBatch, Option<usize>)> = Vec::new();
        let mut transactions: Vec<Transaction> = Vec::new();
        for step in steps {
            let offset = log.len() as i64;
            let open = |transactions: &[Transaction], producer| {
                transactions.iter().rposition(|t| t.producer == producer && t.last.is_none())
            };
            match step {
                Step::Write(0) => log.push((data_batch(offset, None), None)),
                Step::Write(producer) => {
                    let index = open(&transactions, producer).unwrap_or_else(|| {
                        transactions.push(Transaction { producer, first: offset, last: None });
                        transactions.len() - 1
                    });
                    log.push((data_batch(offset, Some(producer)), Some(index)));
                }
                Step::End(producer, abort) => {
                    if let Some(index) = open(&transactions, producer) {
                        transactions[index].last = Some((offset, abort));
                    }
                    log.push((marker(offset, producer, Some(if abort { ABORT } else { COMMIT })), None));
                }
            }
        }
        // A read_committed fetch ends below the first open transaction.
        let stable = transactions.iter().find(|t| t.last.is_none()).map_or(log.len() as i64, |t| t.first);
        let start = (start as i64).min(stable);
        let mut aborted: Vec<(i64, i64)> = transactions
            .iter()
            .filter(|t| t.last.is_some_and(|(last, abort)| abort && last >= start) && t.first < stable)
            .map(|t| (t.producer, t.first))
            .collect();
        aborted.reverse();
        let mut filter = AbortedFilter::new(aborted);
        for (batch, transaction) in &log[start as usize..stable as usize] {
            let expected = match transaction {
                _ if batch.header().is_control() => BatchContent::Control,
                Some(index) if transactions[*index].last.unwrap().1 => BatchContent::Aborted,
                _ => BatchContent::Data,
            };
            prop_assert_eq!(filter.takes(batch).unwrap(), expected);
        }
    }
}

#[test]
fn markers_of_other_types_are_not_data() {
    assert_eq!(control_kind(&marker(0, 1, Some(&[0, 0, 0, 2]))), Ok(Some(ControlKind::Other(2))));
    // A later version may append fields.
    assert_eq!(control_kind(&marker(0, 1, Some(&[0, 1, 0, 0, 9]))), Ok(Some(ControlKind::Abort)));
    assert_eq!(control_kind(&data_batch(0, Some(1))), Ok(None));
}

#[test]
fn an_emptied_control_batch_marks_nothing() {
    let emptied = forge(marker(3, 1, Some(ABORT)).bytes(), |bytes| {
        bytes.truncate(61);
        bytes[57..61].copy_from_slice(&[0; 4]);
    });
    let batch = only(&emptied);
    assert_eq!(control_kind(&batch), Ok(None));
    assert_eq!(AbortedFilter::new(Vec::new()).takes(&batch), Ok(BatchContent::Control));
}

#[test]
fn a_damaged_marker_is_an_error_not_a_guess() {
    for key in [None, Some(&[][..]), Some(&[0, 0, 0][..]), Some(&[0xff, 0xff, 0, 0][..])] {
        let batch = marker(5, 1, key);
        let error = AbortedFilter::new(vec![(1, 0)]).takes(&batch).unwrap_err();
        assert_eq!(error.to_string(), "batch at offset 5: its control record has no readable key");
    }
}
