//! The passthrough engine between real clusters.

mod reading;
mod sink;
mod source;
