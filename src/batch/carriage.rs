//! How a batch gets to the target: unopened, opened, or not at all.

use std::fmt;

use super::RawBatch;
use crate::model::Codec;

/// What a target partition takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Largest batch, header included (`max.message.bytes`).
    pub max_message_bytes: usize,
    /// Whether the target stamps records with its own time (`message.timestamp.type=LogAppendTime`).
    pub append_time: bool,
    /// Compressions that it refuses. Uncompressed batches are taken by every broker.
    pub refused: Codecs,
}

/// A set of compressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codecs(u8);

impl Codecs {
    /// No compression.
    pub const NONE: Self = Self(0);

    /// The set with `codec` added.
    pub fn with(self, codec: Codec) -> Self {
        Self(self.0 | 1 << codec.number())
    }

    /// Whether `codec` is in the set.
    pub fn contains(self, codec: Codec) -> bool {
        self.0 & 1 << codec.number() != 0
    }
}

/// How a batch gets to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// It holds nothing for the target; the position moves on to its [`next_offset`](super::Header::next_offset).
    Drop(DropReason),
    /// Unopened: see [`RawBatch::restamp`].
    AsIs,
    /// Its records have to be written anew: see [`repack()`](super::repack()).
    Open(OpenReasons),
}

/// Why a batch holds nothing for the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A marker of the broker.
    Control,
    /// The cleaner removed all its records.
    Empty,
    /// It ends below the wanted offset.
    Behind,
}

/// Why a batch must be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenReason {
    /// Magic 0 or 1, which today's brokers take from no producer.
    Legacy,
    /// The cleaner removed some of its records; brokers take offsets without gaps only.
    Gaps,
    /// It starts below the wanted offset: its head is on the target already.
    Head,
    /// It is larger than the target takes.
    Size,
    /// The source stamped it with its time, which a target that keeps the producer's time refuses.
    AppendTime,
    /// The target refuses its compression.
    Codec,
}

impl OpenReason {
    const ALL: [Self; 6] = [Self::Legacy, Self::Gaps, Self::Head, Self::Size, Self::AppendTime, Self::Codec];

    /// A word for it, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Gaps => "gaps",
            Self::Head => "head",
            Self::Size => "size",
            Self::AppendTime => "append_time",
            Self::Codec => "codec",
        }
    }
}

/// Why a batch must be opened: one reason or more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OpenReasons(u8);

impl OpenReasons {
    /// Whether `reason` is one of them.
    pub fn contains(self, reason: OpenReason) -> bool {
        self.0 & 1 << reason as u8 != 0
    }

    /// The reasons.
    pub fn iter(self) -> impl Iterator<Item = OpenReason> {
        OpenReason::ALL.into_iter().filter(move |reason| self.contains(*reason))
    }
}

impl fmt::Display for OpenReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}", reason.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for OpenReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Decides how a batch gets to a target from which records are wanted from `wanted_offset` on.
///
/// Looks at the header only. Aborted transactions are not known here: see [`AbortedFilter`](super::AbortedFilter).
pub fn carriage(batch: &RawBatch, wanted_offset: i64, target: &Acceptance) -> Carriage {
    let header = batch.header();
    if header.is_control() {
        return Carriage::Drop(DropReason::Control);
    }
    if header.record_count == 0 {
        return Carriage::Drop(DropReason::Empty);
    }
    let legacy = header.magic < 2;
    // Old librdkafka left the offset of a compressed entry 0, whatever was inside: only opening it tells.
    let known = !legacy || header.record_count == 1 || header.base_offset > 0;
    if known && header.next_offset() <= wanted_offset {
        return Carriage::Drop(DropReason::Behind);
    }
    let reasons = [
        (OpenReason::Legacy, legacy),
        (
            OpenReason::Gaps,
            !legacy && i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1,
        ),
        (OpenReason::Head, !legacy && header.base_offset < wanted_offset),
        (OpenReason::Size, batch.bytes().len() > target.max_message_bytes),
        (OpenReason::AppendTime, header.is_append_time() && !target.append_time),
        // A compression that doesn't exist is refused as well; opening the batch says so.
        (OpenReason::Codec, header.codec().map_or(true, |codec| target.refused.contains(codec))),
    ];
    let mut found = 0;
    for (reason, applies) in reasons {
        found |= u8::from(applies) << reason as u8;
    }
    if found == 0 { Carriage::AsIs } else { Carriage::Open(OpenReasons(found)) }
}
