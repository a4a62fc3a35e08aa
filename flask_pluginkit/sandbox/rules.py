"""Which system calls a confined process may make, and with which arguments.

Three lists by name. What stands in none of them is unknown to us and answered with ENOSYS, so
that a newer C library falls back to what it used before.

- `ALLOWED`: whatever the arguments are. Files are Landlock's business.
- `DENIED`: known to be harmful, answered with EPERM, which plugins see as PermissionError.
- `checked`: allowed with certain arguments. A filter can't follow pointers, and most arguments
  are 32-bit values of which the kernel ignores the upper half, as these rules do.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_WORD: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """The lower 32 bits of an argument, of which only those in `mask` count, are in `values`."""

    argument: int
    values: tuple[int, ...]
    mask: int = _WORD


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """All 64 bits of an argument are zero: a pointer that isn't there."""

    argument: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A call passes if every condition of one of the alternatives holds."""

    alternatives: tuple[tuple[Word | Null, ...], ...]
    otherwise: int = errno.EPERM
    """The error of a call that doesn't pass."""


def _one(*conditions: Word | Null, otherwise: int = errno.EPERM) -> Rule:
    return Rule(alternatives=(conditions,), otherwise=otherwise)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# One call that starts a thread, as glibc and musl do it: VM, FS, FILES, SIGHAND, THREAD,
# SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID and the old DETACHED.
_THREAD: Final = 0x0001_0000
_THREAD_FLAGS: Final = 0x007D_0F00

_UNIX: Final = 1
_STREAM: Final = 1
_NONBLOCK_CLOEXEC: Final = 0o4000 | 0o2000000

# No MSG_OOB: out-of-band data of Unix sockets was an exploited hole of the kernel.
_SEND_FLAGS: Final = 0x40 | 0x4000 | 0x8000  # DONTWAIT, NOSIGNAL, MORE
_RECEIVE_FLAGS: Final = 0x02 | 0x20 | 0x40 | 0x100 | 0x4000_0000  # PEEK, TRUNC, ..., CMSG_CLOEXEC

_SOL_SOCKET: Final = 1
_IPPROTO_TCP: Final = 6
# SNDBUF, RCVBUF, KEEPALIVE, LINGER, and both time-outs in both widths
_SOCKET_OPTIONS: Final = (7, 8, 9, 13, 20, 21, 66, 67)
# REUSEADDR, TYPE, ERROR, ACCEPTCONN, PROTOCOL, DOMAIN. Not PEERCRED and PEERPIDFD, which tell
# about the host.
_SOCKET_FACTS: Final = (2, 3, 4, 30, 38, 39)
# NODELAY, KEEPIDLE, KEEPINTVL, KEEPCNT, USER_TIMEOUT
_TCP_OPTIONS: Final = (1, 4, 5, 6, 18)

# DUPFD, GETFD, SETFD, GETFL, SETFL, three of record locks, three of those of open files,
# DUPFD_CLOEXEC, GETPIPE_SZ. Not SETOWN and SETSIG (signals), SETLEASE, NOTIFY, SETPIPE_SZ.
_FCNTL: Final = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_IOCTL: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET. Not those with priority
# inheritance, where exploited holes of the kernel were, and which CPython doesn't use.
_FUTEX: Final = (0, 1, 3, 4, 5, 9, 10)
_FUTEX_COMMAND: Final = _WORD & ~(128 | 256)  # without PRIVATE and CLOCK_REALTIME

_MAP_HUGETLB: Final = 0x4_0000
_PR_SET_NAME: Final = 15
_PR_GET_NAME: Final = 16


def checked(process: int) -> Mapping[str, Rule]:
    """Return the rules that look at arguments, for a process with this id."""
    oneself = (0, process)
    return {
        "futex": _one(Word(argument=1, mask=_FUTEX_COMMAND, values=_FUTEX)),
        "mmap": _one(Word(argument=3, mask=_MAP_HUGETLB, values=(0,))),
        "fcntl": _one(Word(argument=1, values=_FCNTL)),
        "ioctl": _one(Word(argument=1, values=_IOCTL)),
        "clone": _one(
            Word(argument=0, mask=_WORD & ~_THREAD_FLAGS | _THREAD, values=(_THREAD,)),
        ),
        # ENOSYS, as its flags are behind a pointer; C libraries then use clone
        "clone3": Rule(alternatives=(), otherwise=errno.ENOSYS),
        # 0 would be the whole process group
        "kill": _one(Word(argument=0, values=(process,))),
        "tgkill": _one(Word(argument=0, values=(process,))),
        "prlimit64": _one(Word(argument=0, values=oneself), Null(argument=2)),
        # the C library asks for other threads, and knows ENOSYS
        "sched_getaffinity": _one(Word(argument=0, values=oneself), otherwise=errno.ENOSYS),
        "prctl": _one(Word(argument=0, values=(_PR_SET_NAME, _PR_GET_NAME))),
        **_sockets(),
    }


def _sockets() -> dict[str, Rule]:
    tcp = (Word(argument=1, values=(_IPPROTO_TCP,)), Word(argument=2, values=_TCP_OPTIONS))
    generic = Word(argument=1, values=(_SOL_SOCKET,))
    return {
        "socketpair": _one(
            Word(argument=0, values=(_UNIX,)),
            Word(argument=1, mask=_WORD & ~_NONBLOCK_CLOEXEC, values=(_STREAM,)),
        ),
        "sendto": _one(Word(argument=3, mask=_WORD & ~_SEND_FLAGS, values=(0,)), Null(argument=4)),
        "recvfrom": _one(Word(argument=3, mask=_WORD & ~_RECEIVE_FLAGS, values=(0,))),
        # how a connected socket is handed in; sendmsg, its counterpart, is denied
        "recvmsg": _one(Word(argument=2, mask=_WORD & ~_RECEIVE_FLAGS, values=(0,))),
        "setsockopt": Rule(alternatives=((generic, Word(argument=2, values=_SOCKET_OPTIONS)), tcp)),
        "getsockopt": Rule(
            alternatives=(
                (generic, Word(argument=2, values=(*_SOCKET_OPTIONS, *_SOCKET_FACTS))),
                tcp,
            )
        ),
    }


ALLOWED: Final = _names(
    """
    read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 lseek open creat
    openat close close_range dup dup2 dup3 pipe pipe2 eventfd eventfd2 flock stat lstat fstat
    newfstatat statx fstatfs access faccessat faccessat2 readlink readlinkat getdents
    getdents64 getcwd chdir fchdir umask mkdir mkdirat rmdir unlink unlinkat rename renameat
    renameat2 truncate ftruncate fallocate fsync fdatasync fadvise64 poll ppoll select pselect6
    epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 accept accept4
    getsockname getpeername shutdown brk munmap mremap mprotect madvise msync membarrier
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend
    sigaltstack restart_syscall pause alarm setitimer getitimer clock_gettime clock_getres
    clock_nanosleep nanosleep gettimeofday time times getpid getppid gettid getuid geteuid
    getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid getrlimit getrusage
    sysinfo uname getcpu sched_yield sched_get_priority_max sched_get_priority_min
    set_tid_address set_robust_list rseq getrandom wait4 exit exit_group
    """
)

DENIED: Final = _names(
    """
    socket connect bind listen sendmsg sendmmsg recvmmsg execve execveat fork vfork ptrace
    process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_open
    pidfd_getfd pidfd_send_signal tkill rt_sigqueueinfo rt_tgsigqueueinfo setpgid setsid
    setpriority sched_setparam sched_setscheduler sched_setaffinity sched_setattr ioprio_set
    setrlimit migrate_pages move_pages mbind set_mempolicy set_mempolicy_home_node setuid
    setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset personality
    unshare setns chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes
    futimesat utimensat setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr
    fremovexattr removexattrat file_setattr link linkat symlink symlinkat mknod mknodat
    name_to_handle_at open_by_handle_at memfd_create memfd_secret userfaultfd mlock mlock2
    mlockall munlock munlockall remap_file_pages shmget shmat shmctl shmdt semget semop semctl
    semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend mq_timedreceive
    mq_notify mq_getsetattr add_key request_key keyctl inotify_init inotify_init1
    inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark io_uring_setup
    io_uring_enter io_uring_register io_setup io_destroy io_submit bpf perf_event_open seccomp
    landlock_create_ruleset landlock_add_rule landlock_restrict_self lsm_set_self_attr
    lookup_dcookie mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen
    fsconfig fsmount fspick mount_setattr swapon swapoff quotactl quotactl_fd acct syncfs
    reboot kexec_load kexec_file_load init_module finit_module delete_module syslog sethostname
    setdomainname settimeofday clock_settime clock_adjtime adjtimex iopl ioperm modify_ldt
    uselib vhangup
    """
)
