"""What a decoder gives up before it reads a hostile byte, and cannot get back.

Six locks, one behind another: no other user's rights, limits of the kernel, no new privileges, no
file (Landlock), only the system calls that decoding needs (seccomp), and nobody may look into the
process. Where a platform lacks one, the others hold, and ``lock`` says which.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_PDEATHSIG, _DUMPABLE, _NO_NEW_PRIVS = 1, 4, 38
_NOBODY = 65534
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_CLONE_THREAD = 0x00010000
_EMPTY_PATH = 0x1000
_LONGEST_LIFE = 24 * 3600
"""Seconds of CPU after which a decoder ends, whatever it was told."""

_libc = ctypes.CDLL(None, use_errno=True)

CALLS = (
    "brk", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "exit", "exit_group",
    "fstat", "ftruncate", "futex", "getcwd", "getegid", "geteuid", "getgid", "getpid", "getrandom",
    "getrusage", "gettid", "gettimeofday", "getuid", "lseek", "madvise", "membarrier",
    "memfd_create", "mremap", "munmap", "nanosleep", "poll", "ppoll", "pread64", "read",
    "readv", "recvmsg", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sched_getaffinity", "sched_yield", "sendmsg", "set_robust_list",
    "sigaltstack", "sysinfo", "time", "uname", "write", "writev",
)  # fmt: skip
"""System calls that are allowed whatever their arguments are."""

_FCNTL = (1, 2, 3, 1030, 1033, 1034)
"""Get and set flags, duplicate, add and get seals. Not: asking for signals."""


def die_with_parent(parent: int) -> None:
    """End when the thread that started this process does; at once if it is gone already."""
    _libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def seccomp_filter() -> Any | None:
    """A filter with all rules, built before there is anything to hide; None without libseccomp."""
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError):
        return None
    allow, arg = pyseccomp.ALLOW, pyseccomp.Arg
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    with suppress(OSError):
        rules.set_attr(pyseccomp.Attr.CTL_NNP, 0)  # it is set anyway, with an error if it fails

    def add(action: int, call: str, *conditions: Any) -> None:
        # An architecture lacks some of the older calls; what it lacks nobody can call.
        with suppress(OSError, ValueError):
            rules.add_rule(action, call, *conditions)

    for call in CALLS:
        add(allow, call)
    for command in _FCNTL:
        add(allow, "fcntl", arg(1, pyseccomp.EQ, command))
    for call in ("mmap", "mprotect"):  # nothing becomes executable any more
        add(allow, call, arg(2, pyseccomp.MASKED_EQ, mmap.PROT_EXEC, 0))
    add(allow, "clone", arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
    add(pyseccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags cannot be seen; libc then takes clone
    add(allow, "sendto", arg(4, pyseccomp.EQ, 0))
    add(allow, "recvfrom", arg(4, pyseccomp.EQ, 0))
    add(allow, "prlimit64", arg(0, pyseccomp.EQ, 0))
    add(allow, "newfstatat", arg(3, pyseccomp.EQ, _EMPTY_PATH))
    return rules


def lock(rules: Any | None, memory: int, parent: int) -> list[str]:
    """Give everything up; ``memory`` bytes bound the largest file made. What holds, by name."""
    return list(_locks(rules, memory, parent))


def _locks(rules: Any | None, memory: int, parent: int) -> Iterator[str]:
    if os.geteuid() == 0 and _become_nobody():
        yield "unprivileged user"
    elif os.geteuid() != 0:
        yield "no root"
    die_with_parent(parent)  # only now: a change of user forgets it
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_FSIZE, memory, memory),
        (resource.RLIMIT_CPU, _LONGEST_LIFE, _LONGEST_LIFE),
    ):
        resource.setrlimit(what, (soft, hard))
    yield "limits"
    _libc.prctl(_DUMPABLE, 0, 0, 0, 0)
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        yield "no new privileges"
        if abi := _landlock():
            yield f"landlock {abi}"
    if rules is not None:
        try:
            rules.load()
        except OSError:
            return
        yield "seccomp"


def _become_nobody() -> bool:
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return False
    return True


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def _landlock() -> int:
    """Forbid all that this kernel's Landlock knows, without exception; its version, 0 for none."""
    abi = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))
    if abi < 1:
        return 0
    files = 13 + (abi >= 2) + (abi >= 3) + (abi >= 5)
    ruleset = _Ruleset((1 << files) - 1, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    descriptor = int(
        _libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    )
    if descriptor < 0:
        return 0
    try:
        return abi if _libc.syscall(_RESTRICT_SELF, descriptor, 0) == 0 else 0
    finally:
        os.close(descriptor)


class Memory:
    """This process's own bound on its address space, moved with every file."""

    def __init__(self) -> None:
        """Must be made before the lock: afterwards no file can be opened."""
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._page = mmap.PAGESIZE

    def allow(self, more: int) -> None:
        """Allow ``more`` bytes beyond what is mapped now."""
        mapped_now = int(os.pread(self._statm, 128, 0).split()[0]) * self._page
        limit = mapped_now + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def allow_seconds(seconds: float) -> None:
    """A bound on CPU time for when nobody is there any more to look at the clock."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    limit = min(_LONGEST_LIFE, int(used + seconds) + 2)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, _LONGEST_LIFE))
