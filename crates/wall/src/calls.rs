//! System calls, by seccomp.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError as Error, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

use crate::InForce;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that a node has no use for: other processes' memory, mounts and namespaces, the kernel's modules, clocks and settings, other users, rights
/// of files by their names, which landlock lets be changed, and interfaces that have been the way into the kernel more often than most.
const NEEDLESS: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lremovexattr,
    libc::SYS_lsetxattr,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_removexattr,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_settimeofday,
    libc::SYS_setuid,
    libc::SYS_setxattr,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// The same number on every processor, as all calls of recent years.
const FCHMODAT2: c_long = 452;

/// All that compiling takes: memory, threads, time, chance, and reading and writing what is open.
const COMPILING: &[c_long] = &[
    // What is open already, and memory under a name of its own.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads, and what ends them. `clone3` is answered by the other filter.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    // Time, chance, and what was used.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getrlimit,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Flags of `clone` that make a namespace, where a process may become what it is not outside.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// The kinds of sockets that a node opens: over IP, and to the kernel, whom the C library asks for its addresses.
const SOCKETS: [i32; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Forbids what a node does not need, and leaves the rest.
pub(crate) fn confine(local_servers: bool) -> InForce {
    let filter = || -> Result<Rules, Error> {
        let mut rules: Rules = NEEDLESS.iter().map(|&call| (call, Vec::new())).collect();
        let namespaces = NAMESPACES.into_iter().map(|flag| rule(&[has_flag(0, flag)?])).collect::<Result<_, _>>()?;
        rules.insert(libc::SYS_clone, namespaces);
        let local = local_servers.then_some(libc::AF_UNIX);
        let foreign = SOCKETS.into_iter().chain(local).map(|kind| is_not(0, kind)).collect::<Result<Vec<_>, _>>()?;
        let raw = |kind| rule(&[is(0, kind)?, masked(1, SOCKET_TYPE, libc::SOCK_RAW)?]);
        rules.insert(libc::SYS_socket, vec![rule(&foreign)?, raw(libc::AF_INET)?, raw(libc::AF_INET6)?]);
        Ok(rules)
    };
    apply(filter, SeccompAction::Allow, SeccompAction::Errno(FORBIDDEN), "no needless system calls")
}

/// Forbids everything but [`COMPILING`]. What is forbidden fails, so that a library that asks for more than it needs goes on without it.
pub(crate) fn close() -> InForce {
    let filter = || -> Result<Rules, Error> {
        let mut rules: Rules = COMPILING.iter().map(|&call| (call, Vec::new())).collect();
        // A thread and no process.
        rules.insert(libc::SYS_clone, vec![rule(&[has_flag(0, libc::CLONE_THREAD)?])?]);
        Ok(rules)
    };
    apply(filter, SeccompAction::Errno(FORBIDDEN), SeccompAction::Allow, "no system calls beyond memory and threads")
}

/// Whether the kernel knows filters at all.
pub(crate) fn offered(offered: &mut InForce) {
    // Both lines are there, or none of them.
    match std::fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Seccomp:")) && arch().is_some() {
        true => offered.stands.push("system calls".to_owned()),
        false => offered.missing.push(MISSING.to_owned()),
    }
}

const MISSING: &str = "seccomp, so system calls are not confined";
/// The bits of a socket's type that are no flags.
const SOCKET_TYPE: i32 = 0xf;
/// What a forbidden call fails with.
const FORBIDDEN: u32 = libc::EPERM as u32;
/// What a kernel without `clone3` says. Its flags lie in memory, where no filter can look; the C library falls back on `clone`.
const UNKNOWN: u32 = libc::ENOSYS as u32;

fn apply(rules: impl FnOnce() -> Result<Rules, Error>, otherwise: SeccompAction, matching: SeccompAction, stands: &str) -> InForce {
    let Some(arch) = arch() else { return InForce::missing(MISSING) };
    let program = |rules, otherwise, matching| SeccompFilter::new(rules, otherwise, matching, arch)?.try_into();
    let build = || -> Result<[BpfProgram; 2], Error> {
        let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
        Ok([program(clone3, SeccompAction::Allow, SeccompAction::Errno(UNKNOWN))?, program(rules()?, otherwise, matching)?])
    };
    let applied = match build() {
        Ok(programs) => programs.iter().try_for_each(|program| apply_filter_all_threads(program)).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match applied {
        Ok(()) => InForce { stands: vec![stands.to_owned()], missing: Vec::new() },
        Err(why) => InForce::missing(format!("{MISSING} ({why})")),
    }
}

fn arch() -> Option<TargetArch> {
    TargetArch::try_from(std::env::consts::ARCH).ok()
}

fn rule(conditions: &[SeccompCondition]) -> Result<SeccompRule, Error> {
    SeccompRule::new(conditions.to_vec())
}

fn is(argument: u8, value: i32) -> Result<SeccompCondition, Error> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: i32) -> Result<SeccompCondition, Error> {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompCondition, Error> {
    condition(argument, SeccompCmpOp::MaskedEq(bits(mask)), value)
}

fn has_flag(argument: u8, flag: i32) -> Result<SeccompCondition, Error> {
    masked(argument, flag, flag)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition, Error> {
    // The kernel reads the lower half of an argument that is an `int`.
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, bits(value))
}

fn bits(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}
