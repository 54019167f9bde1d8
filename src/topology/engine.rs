//! Which engine moves the batches of a flow.

use serde::{Deserialize, Serialize};

use super::FlowSpec;

/// What a flow's `engine` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineSpec {
    /// Passthrough wherever it can do what the flow asks for.
    Auto,
    /// Batches cross unopened.
    Passthrough,
    /// Records are decoded and encoded again.
    Records,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Forwards stored batches unopened, over our own connections.
    Passthrough,
    /// Decodes and encodes records, with librdkafka.
    Records,
}

impl EngineKind {
    /// The name used in the configuration and in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::Records => "records",
        }
    }
}

/// The engine a flow uses, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EngineChoice {
    /// The engine.
    pub engine: EngineKind,
    /// Why it was taken.
    pub reason: &'static str,
}

/// Chooses the engine of a flow.
///
/// Both engines speak every security mechanism that the configuration accepts, so only what the flow does with its
/// records counts.
pub fn choose(flow: &FlowSpec) -> EngineChoice {
    let (engine, reason) = match flow.engine {
        EngineSpec::Records => (EngineKind::Records, "`engine: records` is set"),
        EngineSpec::Passthrough => (EngineKind::Passthrough, "`engine: passthrough` is set"),
        EngineSpec::Auto if flow.codec_is_explicit => {
            (EngineKind::Records, "`codec` is set, so every batch is compressed anew")
        }
        EngineSpec::Auto => (EngineKind::Passthrough, "nothing in the flow looks into records"),
    };
    EngineChoice { engine, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::testing::mesh;

    #[test]
    fn what_is_set_wins_and_a_codec_asks_for_opening() {
        let chosen = |more: &str| choose(&mesh(&[("A", "B", more)]).flows["A-B"]).engine;
        assert_eq!(chosen("max_hops: 3"), EngineKind::Passthrough);
        assert_eq!(chosen("codec: lz4"), EngineKind::Records);
        assert_eq!(chosen("engine: passthrough, codec: zstd"), EngineKind::Passthrough);
        assert_eq!(chosen("engine: records"), EngineKind::Records);
    }
}
