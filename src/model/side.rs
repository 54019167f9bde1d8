//! The two sides of a flow.

use serde::{Deserialize, Serialize};

/// One of the two sides of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The flow's source.
    #[default]
    Source,
    /// The flow's target.
    Target,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Source => Self::Target,
            Self::Target => Self::Source,
        }
    }

    /// Whether it is the source, which is the usual case and left out of what is stored.
    pub fn is_source(&self) -> bool {
        *self == Self::Source
    }
}
