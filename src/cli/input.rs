//! What every command that reads a topology takes.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Loaded, Problems, Sources};

use super::Exit;
use super::output;

/// A topology file and changes to it.
#[derive(Args, Debug)]
pub(super) struct TopologyArgs {
    /// Topology file (YAML).
    pub file: PathBuf,
    /// Sets a key, over file and environment; may be given several times.
    ///
    /// The key is written as messages show it: `--set flows.us-to-eu.codec=zstd`. Lists are written as in YAML:
    /// `--set 'flows.us-to-eu.topics=[orders, payments]'`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

impl TopologyArgs {
    /// Reads and checks the topology.
    pub(super) fn load(&self) -> Result<Loaded, Problems> {
        crate::config::load(&Sources { file: self.file.clone(), env: true, set: self.set.clone() })
    }

    /// Reads and checks the topology for a command that needs a sound one.
    ///
    /// Problems and warnings are told on stderr; fails with how the command ends.
    pub(super) fn load_or_tell(&self) -> Result<Loaded, Exit> {
        match self.load() {
            Ok(loaded) => {
                output::tell(&loaded.warnings);
                Ok(loaded)
            }
            Err(problems) => {
                output::tell(&problems.list);
                Err(if problems.unusable { Exit::Unusable } else { Exit::Problems })
            }
        }
    }
}

/// Reads `KEY=VALUE`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}
