//! Tests of the resume rule.
