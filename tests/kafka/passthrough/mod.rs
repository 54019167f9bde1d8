//! The passthrough engine against real clusters.

mod link;
mod rig;
mod sink;
