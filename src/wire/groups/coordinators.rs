//! Who coordinates which group.
