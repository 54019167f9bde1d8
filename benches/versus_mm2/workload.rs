//! The data that is mirrored.

use std::fmt;

use clap::ValueEnum;

use crate::support::fill::Contents;

/// A topic of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Values of 1 KB, lz4, 8 partitions.
    #[value(name = "1k-lz4")]
    OneKLz4,
    /// Values of 100 bytes, lz4, 8 partitions.
    #[value(name = "100b-lz4")]
    HundredLz4,
    /// Values of 1 KB, not compressed, 8 partitions.
    #[value(name = "1k-plain")]
    OneKPlain,
    /// Values of 1 KB, lz4, 200 partitions.
    #[value(name = "1k-lz4-200p")]
    OneKLz4Wide,
    /// Values of 1 KB, lz4, 8 partitions, in transactions of which every tenth is aborted.
    #[value(name = "1k-lz4-txn")]
    OneKLz4Transactions,
}

impl Workload {
    /// What its topic holds.
    pub fn contents(self, bytes: u64, batch_bytes: u64) -> Contents {
        Contents {
            partitions: if self == Self::OneKLz4Wide { 200 } else { 8 },
            value_bytes: if self == Self::HundredLz4 { 100 } else { 1_000 },
            codec: self.codec(),
            bytes,
            batch_bytes,
            transactions: self.transactional(),
        }
    }

    /// How its batches are compressed, and what a mirror that writes batches of its own compresses with.
    pub fn codec(self) -> &'static str {
        if self == Self::OneKPlain { "none" } else { "lz4" }
    }

    /// Whether mirrors read it `read_committed`.
    pub fn transactional(self) -> bool {
        self == Self::OneKLz4Transactions
    }

    /// Whether latency and new topics are measured beside it: once is enough.
    pub fn with_latency(self) -> bool {
        self == Self::OneKLz4
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no workload is hidden");
        f.write_str(value.get_name())
    }
}
