//! The passthrough engine between real clusters.

mod reading;
mod source;
