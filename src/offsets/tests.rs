//! Tests of the offset map.

mod checks;
mod properties;
mod rules;
mod storing;
mod world;
