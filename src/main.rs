//! The program: arguments in, text and exit status out.

use std::process::ExitCode;

use clap::Parser as _;
use regain::cli::{self, Arguments};

/// Tells the C library what it can be told by functions of its own only.
///
/// - Threads take their memory from one place. By default there are eight a core, each keeping what it was once given,
///   and what a search needed on one thread lies idle while it goes on on another.
/// - If it is in this file, names are looked up in /etc/hosts and by DNS, and nowhere else. It would otherwise do as the
///   system's nsswitch.conf says, and load that system's modules for it into a program that was linked with another C
///   library.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no other way to say it; nothing else runs yet")]
fn set_up_c_library() -> bool {
    use std::ffi::c_int;
    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        #[cfg(target_feature = "crt-static")]
        fn __nss_configure_lookup(
            database: *const std::ffi::c_char,
            services: *const std::ffi::c_char,
        ) -> c_int;
    }
    const M_ARENA_MAX: c_int = -8;
    // SAFETY: this is the only thread, and it takes any number.
    let has_one_arena = unsafe { mallopt(M_ARENA_MAX, 1) == 1 };
    // SAFETY: both are C strings that live for ever, and this is the only thread.
    #[cfg(target_feature = "crt-static")]
    let looks_up = unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) == 0 };
    #[cfg(not(target_feature = "crt-static"))]
    let looks_up = true;
    has_one_arena && looks_up
}

#[cfg(not(target_env = "gnu"))]
const fn set_up_c_library() -> bool {
    true
}

#[expect(clippy::print_stderr, reason = "the one at the console must see why it failed")]
fn main() -> ExitCode {
    if !set_up_c_library() {
        eprintln!("regain: the C library can't be set up");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse();
    match cli::run(arguments) {
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
