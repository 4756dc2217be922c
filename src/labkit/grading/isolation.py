"""What a process gives up before it runs a learner's code.

On Linux the process moves into namespaces of its own: it sees a root folder that holds Python, the
libraries and an empty /tmp, a network that has nothing but its own loopback, and no process but
its own. It then gives up its user and its capabilities. Everything is done in the process itself
by system calls, in about a millisecond, and needs no program to be installed and no root; see
namespaces(7), pivot_root(2), capabilities(7). Elsewhere, and where a machine forbids this, limits
on time, memory, files and processes are all there is, and the level says so.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MB = 2**20
Level = Literal["namespaces", "process"]

# unshare(2), mount(2), prctl(2), mount_setattr(2)
NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
NO_SETUID, NO_DEVICES, NO_EXEC, BIND, RECURSIVE, PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
DETACH = 2
DIE_WITH_PARENT, DROP_FROM_BOUNDING_SET, ADOPT_ORPHANS, NO_NEW_PRIVILEGES = 1, 24, 36, 38
AT_RECURSIVE, READ_ONLY, ATTR_NO_SETUID = 0x8000, 1, 2
MOUNT_SETATTR = 442  # the same number on every architecture
SYSTEM_CALLS = {"x86_64": {"pivot_root": 155, "capset": 126}, "aarch64": {"pivot_root": 41, "capset": 91}}
# As root, each answer becomes a user of its own, whose number nobody else has: the limit on
# processes counts those of a user on the whole machine.
FIRST_USER = 2_000_000

# What a Python with compiled libraries needs of the machine, where it is there.
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class IsolationError(Exception):
    """A step of the isolation failed; the text names the step and the system's reason."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one submission's processes.

    `cpu_s` and `wall_s` in seconds, `memory_mb` is what a process may take on top of what it had
    when it was forked, `disk_mb` the size of its private /tmp.
    """

    cpu_s: int = 120
    wall_s: float = 60.0
    total_s: float = 300.0
    memory_mb: int = 1500
    disk_mb: int = 512
    processes: int = 64
    files: int = 256


@dataclass(frozen=True)
class Jail:
    """The folders that a jailed process may read, and its limits."""

    readable: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def for_python(cls, packages: Iterable[Path], limits: Limits) -> Jail:
        """This Python, its environment, and the given package folders."""
        folders = dict.fromkeys([sys.base_prefix, sys.prefix, *map(str, packages)])
        return cls(tuple(folders), limits)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(step: str, result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise IsolationError(f"{step}: {os.strerror(number)} ({errno.errorcode.get(number, number)})")


def _number(call: str) -> int:
    """The number of a system call that the C library has no function for."""
    machine = platform.machine()
    if machine not in SYSTEM_CALLS:
        raise IsolationError(f"{call}: its number on {machine} is not known here")
    return SYSTEM_CALLS[machine][call]


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode() if kind else None, flags, options.encode() or None)
    _call(f"mount {target}", _libc().mount(*arguments))


def separate() -> None:
    """Leave the mounts, network, processes and IPC of the machine; what is forked next is process 1.

    As root directly, as an ordinary user through a user namespace.

    Raises
    ------
    IsolationError
        The machine allows neither.
    """
    parts = NEW_MOUNTS | NEW_NET | NEW_PIDS | NEW_IPC | NEW_UTS
    libc = _libc()
    if os.geteuid() == 0 and libc.unshare(parts) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    _call("unshare", libc.unshare(parts | NEW_USER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def confine(jail: Jail, number: int) -> None:
    """Go to jail: only `jail.readable` and what Python needs stays, read-only, with an empty /tmp.

    `number` is one that no other process on this machine has at the time, such as a process id.

    To be called by process 1 after `separate`, and before any code that is not trusted runs. The
    current folder afterwards is /tmp.

    Raises
    ------
    IsolationError
        A step failed. The process is then half-way and must end.
    """
    libc = _libc()
    _mount("none", "/", None, RECURSIVE | PRIVATE)
    root = _place_to_build(jail.readable)
    _mount("tmpfs", root, "tmpfs", NO_SETUID | NO_DEVICES, "size=1m,mode=755")
    size = f"size={jail.limits.disk_mb}m,nr_inodes=20000,mode=1777"
    private = (f"{root}/tmp", f"{root}/dev/shm")
    for folder in (*private, f"{root}/proc", f"{root}/old"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    # Before the rest, since an environment may itself lie below /tmp.
    for folder in private:
        _mount("tmpfs", folder, "tmpfs", NO_SETUID | NO_DEVICES, size)
    for path in dict.fromkeys([*SYSTEM, *DEVICES, *jail.readable]):
        _offer(path, root)
    _mount("proc", f"{root}/proc", "proc", NO_SETUID | NO_DEVICES | NO_EXEC)
    _attributes(root, AT_RECURSIVE, put=READ_ONLY | ATTR_NO_SETUID)
    for folder in private:
        _attributes(folder, 0, take=READ_ONLY)
    _call("pivot_root", libc.syscall(_number("pivot_root"), root.encode(), f"{root}/old".encode()))
    os.chdir("/")
    _call("umount", libc.umount2(b"/old", DETACH))
    _loopback()
    join(jail, number)


def join(jail: Jail, number: int) -> None:
    """Go to the jail that `confine` has made: what is left to do for a process of the same namespaces.

    Raises
    ------
    IsolationError
        A step failed. The process is then half-way and must end.
    """
    os.chdir("/tmp")
    _limit(jail.limits)
    _give_up_privileges(_libc(), FIRST_USER + number)


def _place_to_build(readable: Iterable[str]) -> str:
    """A folder to build the new root on: one below which nothing lies that is still needed."""
    for place in ("/mnt", "/media", "/srv", "/opt", "/sys"):
        if Path(place).is_dir() and not any(Path(path).is_relative_to(place) for path in readable):
            return place
    raise IsolationError("no folder was found on which a new root could be built")


def _attributes(path: str, flags: int, *, put: int = 0, take: int = 0) -> None:
    """Set and clear attributes of a mount (mount_setattr(2), Linux 5.12)."""
    attributes = struct.pack("QQQQ", put, take, 0, 0)
    result = _libc().syscall(MOUNT_SETATTR, -100, path.encode(), flags, attributes, len(attributes))
    _call(f"attributes of {path}", result)


def _offer(path: str, root: str) -> None:
    """Make `path` visible below the new root: a link as a link, anything else bound."""
    source, target = Path(path), Path(root + path)
    if target.exists() or target.is_symlink() or not os.path.lexists(path):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    _mount(path, str(target), None, BIND | RECURSIVE)


def _loopback() -> None:
    """Switch the namespace's own loopback on (SIOCSIFFLAGS with IFF_UP)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, 0x8914, struct.pack("16sh14s", b"lo", 1, b""))


def _limit(limits: Limits) -> None:
    """The limits that every Unix knows."""
    import resource

    def bound(what: int, value: int) -> None:
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))

    bound(resource.RLIMIT_CORE, 0)
    bound(resource.RLIMIT_CPU, limits.cpu_s)
    bound(resource.RLIMIT_FSIZE, limits.disk_mb * MB)
    bound(resource.RLIMIT_NOFILE, limits.files)
    if hasattr(resource, "RLIMIT_NPROC"):
        bound(resource.RLIMIT_NPROC, limits.processes)
    if sys.platform == "linux":  # elsewhere the address space says little about memory
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        bound(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + limits.memory_mb * MB)


def answer_folder(supervisor: int) -> Path:
    """Where an answer works that has no private /tmp: named after its supervisor's process id."""
    return Path(tempfile.gettempdir()) / f"labkit-answer-{supervisor}"


def limit_only(jail: Jail) -> None:
    """What is left where there are no namespaces: limits, and a session of its own."""
    _limit(jail.limits)


def die_with_parent() -> None:
    """End when the process that forked this one ends (Linux)."""
    if sys.platform == "linux":
        _libc().prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every process below this one that loses its own (Linux)."""
    if sys.platform == "linux":
        _libc().prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def _give_up_privileges(libc: ctypes.CDLL, user: int) -> None:
    """Become that user if this is root, drop every capability, and never gain one again."""
    _call("no_new_privs", libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    for capability in range(64):  # those that the kernel does not know are refused, which is as good
        libc.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header, data = struct.pack("Ii", 0x20080522, 0), bytes(24)  # _LINUX_CAPABILITY_VERSION_3, no capability
    _call("capset", libc.syscall(_number("capset"), header, data))


def strongest() -> tuple[Level, str]:
    """The strongest level that this machine allows, and why no stronger one ("" if there is none).

    Tries it in a process that ends at once.
    """
    if sys.platform != "linux":
        return "process", f"namespaces are a feature of Linux, this is {sys.platform}"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, _try_everything().encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        why = pipe.read().decode()
    os.waitpid(child, 0)
    return ("process", why) if why else ("namespaces", "")


def _try_everything() -> str:
    """In a child: isolate a grandchild. Gives "" or what failed."""
    try:
        separate()
    except (IsolationError, OSError) as error:
        return str(error)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            confine(Jail.for_python([], Limits()), os.getppid())
            why = ""
        except (IsolationError, OSError) as error:
            why = str(error) or type(error).__name__
        os.write(writer, why.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        why = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return why or ("" if status == 0 else f"the process ended with status {status}")
