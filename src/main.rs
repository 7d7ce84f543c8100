//! The Lambda.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::serve()
}
