//! The program: arguments in, text and exit status out.

use std::process::ExitCode;

use clap::Parser as _;
use regain::cli::{self, Arguments};

#[expect(clippy::print_stderr, reason = "the one at the console must see why it failed")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("regain: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            for line in failure.to_string().lines() {
                eprintln!("regain: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
