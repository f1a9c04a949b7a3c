//! Giving up what the program does not need, as far as the kernel lets it: what somebody gets who has found a way to make
//! it do something else.
//!
//! - Its memory is written to no core dump, and other programs of its user can't read it.
//! - Files are written beneath its own folders only, none is executed, and nothing is sent to programs outside (Landlock).
//! - Calls of the kernel that it never makes are refused (seccomp): running programs, looking into others, mounts, modules,
//!   keys, clocks. In the program as it is released no memory becomes executable any more.
//!
//! Where a program sends the text messages, it would be held to the same: only the calls that nobody needs are refused then.

use std::{collections::BTreeMap, path::PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, apply_filter_all_threads,
};

/// What of Landlock is asked for; an older kernel does what it knows of it.
const KNOWN: ABI = ABI::V6;

/// How far it went.
#[derive(Debug)]
pub struct Confined {
    /// Whether files are, by Landlock: `fully`, `partly` or `not`.
    pub files: &'static str,
    /// Whether calls of the kernel are, by seccomp; why not.
    pub calls: Result<(), String>,
}

/// Keeps the memory of this process to itself: no core dumps (core(5)), and no other program of the same user reads it
/// (ptrace(2)).
pub fn keep_memory() {
    // Neither fails for one's own process; if it did, nothing would be worse than without.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Confines all threads that begin after this, to writing beneath these folders. `runs_programs`: see above.
pub fn confine(writable: &[PathBuf], runs_programs: bool) -> Confined {
    let files = if runs_programs { "not" } else { how_far(&confine_files(writable)) };
    let calls = calls(runs_programs)
        .and_then(|program| apply_filter_all_threads(&program).map_err(|error| error.to_string()));
    Confined { files, calls }
}

/// How far this kernel would confine a program, found out with a thread that ends at once.
pub fn try_out(runs_programs: bool) -> Confined {
    let tries = move || {
        let files = if runs_programs { "not" } else { how_far(&confine_files(&[])) };
        let calls = calls(runs_programs)
            .and_then(|program| apply_filter(&program).map_err(|error| error.to_string()));
        Confined { files, calls }
    };
    std::thread::spawn(tries)
        .join()
        .unwrap_or_else(|_| Confined { files: "not", calls: Err("it could not be tried".into()) })
}

fn how_far(files: &Result<RulesetStatus, RulesetError>) -> &'static str {
    match files {
        Ok(RulesetStatus::FullyEnforced) => "fully",
        Ok(RulesetStatus::PartiallyEnforced) => "partly",
        Ok(RulesetStatus::NotEnforced) | Err(_) => "not",
    }
}

fn confine_files(writable: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let writing = AccessFs::from_write(KNOWN);
    let ruleset = Ruleset::default().handle_access(writing | AccessFs::Execute)?;
    let mut ruleset = ruleset.scope(Scope::from_all(KNOWN))?.create()?;
    for folder in writable {
        // What is not there can't be written to.
        if let Ok(folder) = PathFd::new(folder) {
            ruleset = ruleset.add_rule(PathBeneath::new(folder, writing))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// The calls that are never made.
const NEVER: &[libc::c_long] = &[
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // the tree of files, and what is in it but no file
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_mknodat,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    // spaces of names
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // the kernel, and ways into it that were often broken
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_personality,
    libc::SYS_syslog,
    // the machine
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
];

/// The families of sockets that there are: this machine, both of the Internet, and the one in which the C library asks for
/// the addresses of this machine.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Refuses the calls that are never made.
fn calls(runs_programs: bool) -> Result<BpfProgram, String> {
    let error = |error: &dyn std::fmt::Display| error.to_string();
    let arch = std::env::consts::ARCH.try_into().map_err(|e: seccompiler::BackendError| error(&e))?;
    // Without rules of its own a call is refused whatever is asked.
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    if !runs_programs {
        calls.extend([libc::SYS_execve, libc::SYS_execveat].map(|call| (call, Vec::new())));
        // What a program loads is executable.
        if cfg!(target_feature = "crt-static") {
            let executable = u64::from(libc::PROT_EXEC.cast_unsigned());
            let rule = || when(&[(2, SeccompCmpOp::MaskedEq(executable), executable)]);
            for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
                calls.insert(call, vec![rule()?]);
            }
        }
    }
    let others = FAMILIES.map(|family| (0, SeccompCmpOp::Ne, u64::from(family.cast_unsigned())));
    calls.insert(libc::SYS_socket, vec![when(&others)?]);
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refused, arch).map_err(|e| error(&e))?;
    filter.try_into().map_err(|e: seccompiler::BackendError| error(&e))
}

/// When all of that is so of the arguments.
fn when(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, String> {
    let conditions = conditions.iter().map(|(argument, operator, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator.clone(), *value)
    });
    let conditions: Result<Vec<_>, _> = conditions.collect();
    conditions.and_then(SeccompRule::new).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::ErrorKind, os::unix::net::UnixListener, process::Command};

    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    /// In a process of its own: there is no way back.
    #[test]
    #[ignore = "gives up rights of its process: run by the test below"]
    fn child() {
        let folder = PathBuf::from(std::env::var_os("REGAIN_TEST_FOLDER").unwrap());
        let (inside, outside) = (folder.join("inside"), folder.join("outside"));
        keep_memory();
        let confined = confine(&[inside.clone(), folder.join("missing")], false);
        assert_eq!((confined.files, confined.calls), ("fully", Ok(())));

        assert!(matches!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable));
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        let told = fs::read_to_string("/proc/self/status").unwrap();
        assert!(told.contains("NoNewPrivs:\t1") && told.contains("Seccomp:\t2"), "{told}");

        fs::write(inside.join("new"), "x").unwrap();
        fs::rename(inside.join("new"), inside.join("newer")).unwrap();
        tempfile::tempfile_in(&inside).unwrap();
        drop(UnixListener::bind(inside.join("socket")).unwrap());
        fs::remove_file(inside.join("socket")).unwrap();
        let refused =
            |result: std::io::Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
        refused(fs::write(outside.join("new"), "x"));
        refused(fs::write(outside.join("old"), "x"));
        refused(fs::remove_file(outside.join("old")));
        refused(fs::copy(inside.join("newer"), outside.join("new")).map(drop));
        refused(std::os::unix::fs::symlink("/etc", outside.join("link")));
        refused(Command::new("/bin/true").status().map(drop));
        assert_eq!(
            fs::read_to_string(outside.join("old")).unwrap(),
            "old",
            "reading is for the permissions of files"
        );
        assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
        let odd = rustix::net::socket(rustix::net::AddressFamily::PACKET, rustix::net::SocketType::RAW, None);
        assert_eq!(odd.unwrap_err(), rustix::io::Errno::PERM);
        // Threads that come later are held to it, too.
        std::thread::spawn(move || refused(fs::write(outside.join("new"), "x"))).join().unwrap();
    }

    #[test]
    fn trying_it_out_gives_up_nothing() {
        let tried = try_out(false);
        assert_eq!((tried.files, tried.calls), ("fully", Ok(())));
        tempfile::tempfile().unwrap();
        assert!(Command::new("/bin/true").status().unwrap().success());
    }

    #[test]
    fn what_is_given_up_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["inside", "outside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("outside/old"), "old").unwrap();
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "confine::tests::child", "--test-threads", "1"])
            .env("REGAIN_TEST_FOLDER", folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && told.contains("1 passed"), "{told}");
    }
}
