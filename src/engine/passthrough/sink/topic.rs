//! What a target topic takes: as it is configured, and as its answers have shown.

use parking_lot::Mutex;

use crate::batch::{Acceptance, Codecs};
use crate::engine::TargetLimits;
use crate::model::Codec;

/// Codecs that a topic can refuse.
const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// A target topic, shared by its lanes.
pub(super) struct Topic {
    /// For batches whose own codec the topic refuses.
    codec: Codec,
    known: Mutex<KnownTopic>,
}

struct KnownTopic {
    limits: TargetLimits,
    /// The largest batch that is worth trying, where the topic refused a larger one.
    at_most_bytes: Option<usize>,
    refused: Codecs,
}

impl Topic {
    /// A topic with these limits.
    pub(super) fn new(limits: TargetLimits, codec: Codec) -> Self {
        let known = KnownTopic { limits, at_most_bytes: None, refused: Codecs::NONE };
        Self { codec, known: Mutex::new(known) }
    }

    /// Takes over new limits: what was learned under older ones is forgotten.
    pub(super) fn set(&self, limits: TargetLimits) {
        let mut known = self.known.lock();
        if known.limits != limits {
            *known = KnownTopic { limits, at_most_bytes: None, refused: Codecs::NONE };
        }
    }

    /// What is known of it.
    pub(super) fn limits(&self) -> TargetLimits {
        self.known.lock().limits
    }

    /// What it takes unopened.
    pub(super) fn acceptance(&self) -> Acceptance {
        let known = self.known.lock();
        let configured = known.limits.max_message_bytes;
        Acceptance {
            max_message_bytes: known.at_most_bytes.map_or(configured, |most| most.min(configured)),
            append_time: known.limits.append_time,
            refused: known.refused,
        }
    }

    /// It refused a batch for its size: larger ones than `at_most_bytes` are not tried any more.
    pub(super) fn takes_at_most(&self, at_most_bytes: usize) {
        let mut known = self.known.lock();
        known.at_most_bytes = Some(known.at_most_bytes.map_or(at_most_bytes, |most| most.min(at_most_bytes)));
    }

    /// It refused a codec: batches are compressed as configured, or, where that is refused too, not at all.
    pub(super) fn refuses(&self, codec: Codec) {
        let mut known = self.known.lock();
        known.refused = known.refused.with(codec);
        if !known.refused.contains(self.codec) {
            let others = CODECS.into_iter().filter(|other| *other != self.codec);
            known.refused = others.fold(known.refused, Codecs::with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_limit_is_learned_and_forgotten_with_new_limits() {
        let topic = Topic::new(TargetLimits::default(), Codec::Lz4);
        topic.takes_at_most(500);
        topic.takes_at_most(900);
        topic.set(TargetLimits::default());
        assert_eq!(topic.acceptance().max_message_bytes, 500);
        topic.set(TargetLimits { max_message_bytes: 2_000, ..TargetLimits::default() });
        assert_eq!(topic.acceptance().max_message_bytes, 2_000);
    }

    #[test]
    fn a_refused_codec_leads_to_the_configured_one() {
        let topic = Topic::new(TargetLimits::default(), Codec::Lz4);
        topic.refuses(Codec::Zstd);
        let refused = topic.acceptance().refused;
        assert!(
            refused.contains(Codec::Zstd) && refused.contains(Codec::Gzip) && !refused.contains(Codec::Lz4)
        );
        topic.refuses(Codec::Lz4);
        assert!(CODECS.into_iter().all(|codec| topic.acceptance().refused.contains(codec)));
        assert!(!topic.acceptance().refused.contains(Codec::None));
    }
}
