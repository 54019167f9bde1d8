//! The passthrough engine between real clusters.

mod link;
mod reading;
mod rig;
mod sink;
mod source;
