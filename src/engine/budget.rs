//! One byte budget for the process: every batch in flight holds a permit of it.

/// A share of the budget; freed when it is dropped.
#[derive(Debug)]
pub struct Permit {}
