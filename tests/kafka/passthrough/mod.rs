//! The passthrough engine against real clusters.

mod sink;
