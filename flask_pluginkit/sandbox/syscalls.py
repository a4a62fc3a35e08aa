"""The numbers of Linux' system calls, for the two architectures that isolation knows.

Only names that a rule or our own code mentions stand here: a system call without a name is
refused by the filter's default action. Numbers never change once a kernel was released with
them. Sources: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Architecture(StrEnum):
    """A machine whose system calls are known, by the name that ``uname -m`` has for it."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"


_LEGACY: Final = """
    open=2 stat=4 lstat=6 poll=7 access=21 pipe=22 select=23 dup2=33 pause=34 alarm=37 fork=57
    vfork=58 getdents=78 rename=82 mkdir=83 rmdir=84 creat=85 link=86 unlink=87 symlink=88
    readlink=89 chmod=90 chown=92 lchown=94 getpgrp=111 utime=132 mknod=133 uselib=134
    modify_ldt=154 iopl=172 ioperm=173 time=201 epoll_create=213 epoll_wait=232 utimes=235
    inotify_init=253 futimesat=261 eventfd=284
"""
"""What only x86-64 has: ``name=number``."""

_COMMON: Final = """
    read=0/63 write=1/64 close=3/57 fstat=5/80 lseek=8/62 mmap=9/222 mprotect=10/226 munmap=11/215
    brk=12/214 rt_sigaction=13/134 rt_sigprocmask=14/135 rt_sigreturn=15/139 ioctl=16/29
    pread64=17/67 pwrite64=18/68 readv=19/65 writev=20/66 sched_yield=24/124 mremap=25/216
    msync=26/227 madvise=28/233 shmget=29/194 shmat=30/196 shmctl=31/195 dup=32/23 nanosleep=35/101
    getitimer=36/102 setitimer=38/103 getpid=39/172 socket=41/198 connect=42/203 accept=43/202
    sendto=44/206 recvfrom=45/207 sendmsg=46/211 recvmsg=47/212 shutdown=48/210 bind=49/200
    listen=50/201 getsockname=51/204 getpeername=52/205 socketpair=53/199 setsockopt=54/208
    getsockopt=55/209 clone=56/220 execve=59/221 exit=60/93 wait4=61/260 kill=62/129 uname=63/160
    semget=64/190 semop=65/193 semctl=66/191 shmdt=67/197 msgget=68/186 msgsnd=69/189 msgrcv=70/188
    msgctl=71/187 fcntl=72/25 flock=73/32 fsync=74/82 fdatasync=75/83 truncate=76/45
    ftruncate=77/46 getcwd=79/17 chdir=80/49 fchdir=81/50 fchmod=91/52 fchown=93/55 umask=95/166
    gettimeofday=96/169 getrlimit=97/163 getrusage=98/165 sysinfo=99/179 times=100/153
    ptrace=101/117 getuid=102/174 syslog=103/116 getgid=104/176 setuid=105/146 setgid=106/144
    geteuid=107/175 getegid=108/177 setpgid=109/154 getppid=110/173 setsid=112/157 setreuid=113/145
    setregid=114/143 getgroups=115/158 setgroups=116/159 setresuid=117/147 getresuid=118/148
    setresgid=119/149 getresgid=120/150 getpgid=121/155 setfsuid=122/151 setfsgid=123/152
    getsid=124/156 capget=125/90 capset=126/91 rt_sigpending=127/136 rt_sigtimedwait=128/137
    rt_sigqueueinfo=129/138 rt_sigsuspend=130/133 sigaltstack=131/132 personality=135/92
    fstatfs=138/44 setpriority=141/140 sched_setparam=142/118 sched_setscheduler=144/119
    sched_get_priority_max=146/125 sched_get_priority_min=147/126 mlock=149/228 munlock=150/229
    mlockall=151/230 munlockall=152/231 vhangup=153/58 pivot_root=155/41 prctl=157/167
    adjtimex=159/171 setrlimit=160/164 chroot=161/51 acct=163/89 settimeofday=164/170 mount=165/40
    umount2=166/39 swapon=167/224 swapoff=168/225 reboot=169/142 sethostname=170/161
    setdomainname=171/162 init_module=175/105 delete_module=176/106 quotactl=179/60 gettid=186/178
    setxattr=188/5 lsetxattr=189/6 fsetxattr=190/7 removexattr=197/14 lremovexattr=198/15
    fremovexattr=199/16 tkill=200/130 futex=202/98 sched_setaffinity=203/122
    sched_getaffinity=204/123 io_setup=206/0 io_destroy=207/1 io_submit=209/2 lookup_dcookie=212/18
    remap_file_pages=216/234 getdents64=217/61 set_tid_address=218/96 restart_syscall=219/128
    semtimedop=220/192 fadvise64=221/223 clock_settime=227/112 clock_gettime=228/113
    clock_getres=229/114 clock_nanosleep=230/115 exit_group=231/94 epoll_ctl=233/21 tgkill=234/131
    mbind=237/235 set_mempolicy=238/237 mq_open=240/180 mq_unlink=241/181 mq_timedsend=242/182
    mq_timedreceive=243/183 mq_notify=244/184 mq_getsetattr=245/185 kexec_load=246/104
    add_key=248/217 request_key=249/218 keyctl=250/219 ioprio_set=251/30 inotify_add_watch=254/27
    inotify_rm_watch=255/28 migrate_pages=256/238 openat=257/56 mkdirat=258/34 mknodat=259/33
    fchownat=260/54 newfstatat=262/79 unlinkat=263/35 renameat=264/38 linkat=265/37
    symlinkat=266/36 readlinkat=267/78 fchmodat=268/53 faccessat=269/48 pselect6=270/72
    ppoll=271/73 unshare=272/97 set_robust_list=273/99 move_pages=279/239 utimensat=280/88
    epoll_pwait=281/22 fallocate=285/47 accept4=288/242 eventfd2=290/19 epoll_create1=291/20
    dup3=292/24 pipe2=293/59 inotify_init1=294/26 preadv=295/69 pwritev=296/70
    rt_tgsigqueueinfo=297/240 perf_event_open=298/241 recvmmsg=299/243 fanotify_init=300/262
    fanotify_mark=301/263 prlimit64=302/261 name_to_handle_at=303/264 open_by_handle_at=304/265
    clock_adjtime=305/266 syncfs=306/267 sendmmsg=307/269 setns=308/268 getcpu=309/168
    process_vm_readv=310/270 process_vm_writev=311/271 kcmp=312/272 finit_module=313/273
    sched_setattr=314/274 renameat2=316/276 seccomp=317/277 getrandom=318/278 memfd_create=319/279
    kexec_file_load=320/294 bpf=321/280 execveat=322/281 userfaultfd=323/282 membarrier=324/283
    mlock2=325/284 preadv2=327/286 pwritev2=328/287 statx=332/291 rseq=334/293
    pidfd_send_signal=424/424 io_uring_setup=425/425 io_uring_enter=426/426
    io_uring_register=427/427 open_tree=428/428 move_mount=429/429 fsopen=430/430 fsconfig=431/431
    fsmount=432/432 fspick=433/433 pidfd_open=434/434 clone3=435/435 close_range=436/436
    pidfd_getfd=438/438 faccessat2=439/439 process_madvise=440/440 epoll_pwait2=441/441
    mount_setattr=442/442 quotactl_fd=443/443 landlock_create_ruleset=444/444
    landlock_add_rule=445/445 landlock_restrict_self=446/446 memfd_secret=447/447
    process_mrelease=448/448 set_mempolicy_home_node=450/450 fchmodat2=452/452
    lsm_set_self_attr=460/460 setxattrat=463/463 removexattrat=466/466 open_tree_attr=467/467
    file_setattr=469/469
"""
"""What both have: ``name=x86-64/aarch64``."""


def _numbers(column: int) -> dict[str, int]:
    pairs = (entry.split("=") for entry in _COMMON.split())
    return {name: int(numbers.split("/")[column]) for name, numbers in pairs}


NUMBERS: Final[Mapping[Architecture, Mapping[str, int]]] = MappingProxyType(
    {
        Architecture.X86_64: MappingProxyType(
            _numbers(0)
            | {name: int(number) for name, number in (item.split("=") for item in _LEGACY.split())}
        ),
        Architecture.AARCH64: MappingProxyType(_numbers(1)),
    }
)
"""The number of each system call by its name; aarch64 lacks the old ones."""
