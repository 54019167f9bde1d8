//! The `mirrormesh` binary.

fn main() {}
