//! Says whether a copy is exact.

use std::collections::HashMap;
use std::fmt::Write;

use super::load::Acknowledged;
use super::{Consumed, KafkaClient, TestRecord, await_growth};

/// Compares all of a topic with its copy: keys, values, headers, timestamps, order and number per partition.
///
/// Returns how many records were compared; `Err` names, per partition, the first difference and how many records
/// are missing, surplus (written twice, or never on the source) or out of order.
pub async fn compare(
    source: &KafkaClient,
    topic: &str,
    target: &KafkaClient,
    remote: &str,
) -> Result<usize, String> {
    let (from, to) = (source.consume_all(topic).await, target.consume_all(remote).await);
    if from.len() != to.len() {
        return Err(format!("{topic} has {} partitions, {remote} has {}", from.len(), to.len()));
    }
    let mut report = String::new();
    for (partition, (from, to)) in from.iter().zip(&to).enumerate() {
        if let Some(difference) = difference(&records(from), &records(to)) {
            writeln!(report, "{topic}-{partition} and {remote}-{partition}: {difference}")
                .expect("a string can be written to");
        }
    }
    if report.is_empty() { Ok(from.iter().map(Vec::len).sum()) } else { Err(report) }
}

/// [`compare`], and fails the test with its report.
pub async fn verify_exact(source: &KafkaClient, topic: &str, target: &KafkaClient, remote: &str) -> usize {
    match compare(source, topic, target, remote).await {
        Ok(count) => count,
        Err(report) => panic!("the copy differs:\n{report}"),
    }
}

/// Waits until a copy has as many records as its source, then [`verify_exact`].
///
/// Nothing may be written to the source meanwhile.
pub async fn await_exact(source: &KafkaClient, topic: &str, target: &KafkaClient, remote: &str) -> usize {
    let goal: i64 = source.consume_all(topic).await.iter().map(|records| records.len() as i64).sum();
    await_growth(&format!("{remote} to have {goal} records"), goal, async || {
        if !target.topics().await.contains_key(remote) {
            return Err("the topic is not there".to_owned());
        }
        let count: i64 = target.offsets(remote).await.iter().map(|(start, end)| end - start).sum();
        // Cheap first; markers of transactions count in offsets, so that only the records themselves decide.
        if count < goal {
            return Ok(count);
        }
        Ok(target.consume_all(remote).await.iter().map(|records| records.len() as i64).sum())
    })
    .await;
    verify_exact(source, topic, target, remote).await
}

/// Checks that a topic holds what its load was told is safe: every acknowledged record at its offset.
pub async fn verify_acknowledged(client: &KafkaClient, topic: &str, acknowledged: &Acknowledged) {
    for (partition, consumed) in client.consume_all(topic).await.iter().enumerate() {
        let partition = i32::try_from(partition).expect("a partition index is an i32");
        let found: HashMap<i64, &TestRecord> = consumed.iter().map(|c| (c.offset, &c.record)).collect();
        for (offset, number) in acknowledged.get(&(topic.to_owned(), partition)).into_iter().flatten() {
            let value = found.get(offset).and_then(|record| record.value.as_deref());
            let value = value.map(|value| String::from_utf8_lossy(value).trim_end().to_owned());
            assert_eq!(value, Some(number.to_string()), "{topic}-{partition} at offset {offset}");
        }
    }
}

/// Where two lists of records differ; `None` if they don't.
pub fn difference(from: &[&TestRecord], to: &[&TestRecord]) -> Option<String> {
    let first = (0..from.len().max(to.len())).find(|index| from.get(*index) != to.get(*index))?;
    let mut balance: HashMap<&TestRecord, i64> = HashMap::new();
    from.iter().for_each(|record| *balance.entry(record).or_default() += 1);
    to.iter().for_each(|record| *balance.entry(record).or_default() -= 1);
    let missing: i64 = balance.values().filter(|count| **count > 0).sum();
    let surplus: i64 = -balance.values().filter(|count| **count < 0).sum::<i64>();
    let order = if missing == 0 && surplus == 0 { ", the same records in another order" } else { "" };
    Some(format!(
        "{} records here, {} there, {missing} missing, {surplus} surplus{order}; first difference at index {first}: \
         {:?} here, {:?} there",
        from.len(),
        to.len(),
        from.get(first),
        to.get(first)
    ))
}

fn records(consumed: &[Consumed]) -> Vec<&TestRecord> {
    consumed.iter().map(|consumed| &consumed.record).collect()
}
