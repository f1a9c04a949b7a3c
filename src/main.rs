//! The program: arguments in, text and exit status out.

use std::process::ExitCode;

use clap::Parser as _;
use regain::cli::{self, Arguments};

/// Names are looked up in /etc/hosts and by DNS, and nowhere else. The C library in this file would otherwise do as the
/// system's nsswitch.conf says, and load that system's modules for it into a program that was linked with another C library.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[expect(
    unsafe_code,
    reason = "the C library can be told by a function of its own only; nothing else runs yet"
)]
fn resolve_without_modules() -> bool {
    use std::ffi::{c_char, c_int};
    unsafe extern "C" {
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    // SAFETY: both are C strings that live for ever, and this is the only thread.
    unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) == 0 }
}

#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
const fn resolve_without_modules() -> bool {
    true
}

#[expect(clippy::print_stderr, reason = "the one at the console must see why it failed")]
fn main() -> ExitCode {
    if !resolve_without_modules() {
        eprintln!("regain: the C library does not take how names are looked up");
        return ExitCode::FAILURE;
    }
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
