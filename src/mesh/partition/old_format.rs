//! Message sets of magic 0 and 1 in the source's log: the `records` engine can't read them.

use crate::mesh::shared::{FlowContext, Unresolved};
use crate::model::{Fault, FaultKind, TopicPartition};
use crate::topology::{EngineKind, engine};
use crate::wire::WireErrorKind;

/// The first format that librdkafka reads right (KIP-98, Kafka 0.11).
const READABLE: i8 = 2;

/// Refuses to go on at an offset whose batch librdkafka would misread.
///
/// Since it fetches in flexible versions (2.12 does), it takes the lengths inside of old message sets for varints:
/// keys and values come out as null, or nothing comes at all. Formats only rise within a log, so the first batch that
/// is left to mirror tells.
pub(super) async fn refuse(
    flow: &FlowContext,
    partition: &TopicPartition,
    next: i64,
    log_end: i64,
) -> Result<(), Unresolved> {
    if engine::choose(&flow.spec).engine != EngineKind::Records || next >= log_end {
        return Ok(());
    }
    let magic = match flow.source.wire().stored_magic(partition, next).await {
        Ok(Some(magic)) if magic < READABLE => magic,
        Ok(_) => return Ok(()),
        // What is damaged, or may not be read, is told by the engine.
        Err(error) if error.is_unauthorized() || matches!(error.kind(), WireErrorKind::Batch(_)) => {
            return Ok(());
        }
        Err(error) => return Err(Unresolved::Waits(error.to_string())),
    };
    let (name, source) = (&flow.spec.name, flow.source.alias());
    Err(Unresolved::Fault(Fault::new(
        FaultKind::OldFormat,
        format!(
            "flow {name}: {partition} of {source} holds message sets of format v{magic} from offset {next} on \
             (written for Kafka before 0.11), which the records engine would misread"
        ),
        format!("set `engine: passthrough` for flow {name}, which reads them"),
    )))
}
