//! What all tests of one binary share.

use std::sync::OnceLock;

use super::home::{Release, kafka_home};
use super::{Cluster, ClusterBuilder, blocking};

/// Two clusters that no test breaks.
#[derive(Debug)]
pub struct Pair {
    /// One.
    pub east: Cluster,
    /// The other.
    pub west: Cluster,
}

/// The shared pair, started by the first test that asks. Tests use their own topic names: [`topic`].
pub async fn pair() -> &'static Pair {
    static PAIR: OnceLock<Result<Pair, String>> = OnceLock::new();
    let start = || {
        let starting = std::thread::spawn(|| ClusterBuilder::new("west").start_blocking());
        let east = std::panic::catch_unwind(|| ClusterBuilder::new("east").start_blocking());
        match (east, starting.join()) {
            (Ok(east), Ok(west)) => Ok(Pair { east, west }),
            _ => Err("the shared clusters did not start: see the first failure".to_owned()),
        }
    };
    let ready = move || {
        // Says in every test what to install, not only in the first.
        kafka_home(Release::default());
        PAIR.get_or_init(start)
    };
    match blocking(ready).await {
        Ok(pair) => pair,
        Err(message) => panic!("{message}"),
    }
}

/// A topic name that no other test uses: `name` and eight random letters.
pub fn topic(name: &str) -> String {
    format!("{name}-{}", super::random_text(8))
}
