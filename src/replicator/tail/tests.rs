//! Tests of digests and matching.
