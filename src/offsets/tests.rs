//! Tests of the offset map.

mod checks;
mod properties;
mod world;
