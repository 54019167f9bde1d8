//! Why an offset is left as it is, in words a person can act on.

use super::PartitionWork;
use crate::model::TopicPartition;
use crate::model::groups::{GroupRefusal, RefusalReason};
use crate::offsets::sync::SyncMemory;

/// The partition has no offset map yet.
pub(super) fn pending(source: &TopicPartition) -> GroupRefusal {
    let detail = format!("{source} has not been looked at yet");
    GroupRefusal { reason: RefusalReason::Pending, detail }
}

/// What is about to be written can't be noted.
pub(super) fn not_remembered(why: &str) -> GroupRefusal {
    let detail = format!("what is about to be committed can't be noted, so nothing is: {why}");
    GroupRefusal { reason: RefusalReason::NotRemembered, detail }
}

/// The broker did not say what became of a commit.
pub(super) fn unanswered(partition: &TopicPartition) -> GroupRefusal {
    let detail = format!("the broker's answer leaves out {partition}");
    GroupRefusal { reason: RefusalReason::Unavailable, detail }
}

/// What the rule leaves alone, and what it knows of it.
pub(super) fn left(work: &PartitionWork, reason: RefusalReason, memory: SyncMemory) -> GroupRefusal {
    let (source, target) = (&work.source, &work.target);
    let offset = |offset: Option<i64>| offset.map_or("none".to_owned(), |offset| offset.to_string());
    let (at_source, at_target) = (offset(work.facts.source), offset(work.facts.target));
    let detail = match reason {
        RefusalReason::Active => format!(
            "the group has active members; {source} stays at {at_source} and {target} at {at_target} until they have left"
        ),
        RefusalReason::Conflict => {
            let before = memory.synced.map_or("they were never in step".to_owned(), |pair| {
                format!("they were last in step at {} and {}", pair.source, pair.target)
            });
            format!(
                "both {source} ({at_source}) and {target} ({at_target}) were committed, and not to the same place; {before}; \
                 both are left: delete the group's offsets on the side that is to follow"
            )
        }
        RefusalReason::TargetOwns => format!(
            "the group worked on {target} (committed {at_target}), and the mesh has no flow back; {source} stays at {at_source}"
        ),
        RefusalReason::SourceGone => format!(
            "the commit on {source} is gone, the one that it was translated to stays: {target} at {at_target}"
        ),
        RefusalReason::Unknown => format!(
            "{source} ({at_source}) and {target} ({at_target}): that part was mirrored before there was an offset map"
        ),
        // The rule gives no others.
        RefusalReason::Pending
        | RefusalReason::Unstable
        | RefusalReason::Unauthorized
        | RefusalReason::Unavailable
        | RefusalReason::NotRemembered
        | RefusalReason::Other => reason.as_str().to_owned(),
    };
    GroupRefusal { reason, detail }
}
