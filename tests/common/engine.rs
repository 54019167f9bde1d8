//! The two engines, and how a test runs over both of them.
//!
//! Where clusters are shared anyhow, [`both_engines`] makes two tests of one. Where a test breaks clusters of its own,
//! one outage serves both: [`twins`] starts a mirror per engine over the same clusters.

use super::MirrorProcess;

/// How a flow moves its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Batches cross unopened.
    Passthrough,
    /// Records are decoded and encoded again.
    Records,
}

impl Engine {
    /// Its name in a topology and in `/status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::Records => "records",
        }
    }

    /// What [`MirrorProcess::start`] is given for every flow to use it.
    pub fn setting(self) -> String {
        format!("defaults.engine={}", self.name())
    }

    /// Starts `mirrormesh run` with this engine in every flow that names none.
    pub fn start(self, topology: &str, settings: &[&str]) -> MirrorProcess {
        let mirror = self.prepare(topology, settings);
        mirror.launch();
        mirror
    }

    /// [`Self::start`] without the start.
    pub fn prepare(self, topology: &str, settings: &[&str]) -> MirrorProcess {
        let own = self.setting();
        MirrorProcess::prepare(topology, &[settings, &[own.as_str()]].concat())
    }
}

/// One of two mirrors that do the same over the same clusters, each with its engine.
#[derive(Debug)]
pub struct Twin {
    /// Its engine.
    pub engine: Engine,
    /// What it calls the source: `east-records`. So each has remote topics, heartbeats and positions of its own.
    pub source: String,
    /// The process.
    pub mirror: MirrorProcess,
}

impl Twin {
    /// What this mirror calls the copy of a topic.
    pub fn remote(&self, topic: &str) -> String {
        format!("{}.{topic}", self.source)
    }
}

/// Starts a mirror per engine. `topology` is given what that mirror shall call the cluster named `source`.
pub fn twins(source: &str, settings: &[&str], topology: impl Fn(&str) -> String) -> [Twin; 2] {
    [Engine::Passthrough, Engine::Records].map(|engine| {
        let source = format!("{source}-{}", engine.name());
        let mirror = engine.start(&topology(&source), settings);
        Twin { engine, source, mirror }
    })
}

/// Makes tests `passthrough::name` and `records::name` of each `async fn name(engine: Engine)`.
macro_rules! both_engines {
    ($($name:ident),+ $(,)?) => {
        mod passthrough {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(crate::common::Engine::Passthrough).await;
                }
            )+
        }
        mod records {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(crate::common::Engine::Records).await;
                }
            )+
        }
    };
}
pub(crate) use both_engines;
