//! The `mirrormesh` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    mirrormesh::cli::main()
}
