//! Which topics of the source are which on the target.

use crate::cluster::Catalogue;
use crate::offsets::groups::TopicPairs;
use crate::topology::{Choice, Selector};

/// The topics of the source that the flow takes.
pub(super) fn topic_pairs(selector: &Selector, source: &Catalogue) -> TopicPairs {
    let pairs =
        source.topics.iter().filter_map(|(topic, entry)| match selector.select(topic, entry.internal) {
            Choice::Take { remote, .. } => Some((topic.clone(), remote)),
            _ => None,
        });
    pairs.collect()
}
