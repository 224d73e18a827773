"""The system calls that a program may not make: those that Docker's default profile refuses (moby/profiles, seccomp).

Runs in the launcher's process: imports the standard library only. The filter is a classic BPF program that Linux runs
before each call (seccomp(2); struct seccomp_data of linux/seccomp.h).
"""

import ctypes
import errno
import platform
import struct

from buildrules.serving.rootfs.linux import StageError, call

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _RETURN = 0x20, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_RET|BPF_K
_IS, _ABOVE, _ANY_OF = 0x15, 0x25, 0x45  # BPF_JMP with BPF_JEQ, BPF_JGT, BPF_JSET
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data; the lower half, both are little-endian

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column below, AUDIT_ARCH_* of linux/audit.h
_TABLE = """
    syslog 103 116; uselib 134 -1; ustat 136 -1; sysfs 139 -1; vhangup 153 58; pivot_root 155 41; _sysctl 156 -1;
    acct 163 89; settimeofday 164 170; mount 165 40; umount2 166 39; swapon 167 224; swapoff 168 225;
    reboot 169 142; sethostname 170 161; setdomainname 171 162; iopl 172 -1; ioperm 173 -1; init_module 175 105;
    delete_module 176 106; quotactl 179 60; lookup_dcookie 212 18; clock_settime 227 112; mbind 237 235;
    set_mempolicy 238 237; get_mempolicy 239 236; kexec_load 246 104; add_key 248 217; request_key 249 218;
    keyctl 250 219; migrate_pages 256 238; unshare 272 97; move_pages 279 239; perf_event_open 298 241;
    fanotify_init 300 262; open_by_handle_at 304 265; setns 308 268; kcmp 312 272; finit_module 313 273;
    kexec_file_load 320 294; bpf 321 280; userfaultfd 323 282; io_uring_setup 425 425; io_uring_enter 426 426;
    io_uring_register 427 427; open_tree 428 428; move_mount 429 429; fsopen 430 430; fsconfig 431 431;
    fsmount 432 432; fspick 433 433; pidfd_getfd 438 438; process_madvise 440 440; mount_setattr 442 442;
    quotactl_fd 443 443; set_mempolicy_home_node 450 450; lsm_get_self_attr 459 459; lsm_set_self_attr 460 460;
    lsm_list_modules 461 461
"""
REFUSED = {name: (int(x86_64), int(aarch64)) for name, x86_64, aarch64 in map(str.split, _TABLE.split(";"))}
"""The numbers of each call on x86_64 and on aarch64; -1 where there is no such call."""
LAST = 466
"""The highest number that was looked at. Higher ones do not exist for a program, as on an older Linux, and neither do
those of x86_64's other numbering, which has bit 30 set."""

_CLONE, _CLONE3, _SOCKET, _PERSONALITY = (56, 220), 435, (41, 198), (135, 92)
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*: mount, cgroup, uts, ipc, user, pid, net
_REFUSED_FAMILIES = (38, 40)  # AF_ALG and AF_VSOCK: the machine's kernel and its host
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux as it is, as 32 bits or 2.6 show it, and the question


def filter_program(machine: str) -> list[tuple[int, int, int, int]]:
    """The filter for a `machine` as uname(2) names it: rows of code, jump if true, jump if false, operand.

    Raises StageError for a machine whose numbers are not known here.
    """
    if machine not in _MACHINES:
        raise StageError("namespaces", f"a filter of system calls for {machine}")
    column, architecture = _MACHINES[machine]
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    unknown = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    allow = (_RETURN, 0, 0, _ALLOW)
    load_argument = (_LOAD, 0, 0, _FIRST_ARGUMENT)
    program = [(_LOAD, 0, 0, _ARCHITECTURE), (_IS, 1, 0, architecture), (_RETURN, 0, 0, _KILL_PROCESS)]
    program += [(_LOAD, 0, 0, _NUMBER), (_ABOVE, 0, 1, LAST), unknown]
    for numbers in REFUSED.values():
        if numbers[column] >= 0:
            program += [(_IS, 0, 1, numbers[column]), refuse]
    # The flags of clone3 lie in memory, where no filter sees them: libraries then use clone.
    program += [(_IS, 0, 1, _CLONE3), unknown]
    program += [(_IS, 0, 4, _CLONE[column]), load_argument, (_ANY_OF, 0, 1, _NEW_NAMESPACES), refuse, allow]
    program += _unless_one_of(_SOCKET[column], _REFUSED_FAMILIES, then=refuse, otherwise=allow)
    program += _unless_one_of(_PERSONALITY[column], _PERSONALITIES, then=allow, otherwise=refuse)
    return [*program, allow]


def _unless_one_of(
    number: int, values: tuple[int, ...], then: tuple[int, int, int, int], otherwise: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    """For the call `number`: `then` where its first argument is one of `values`, else `otherwise`."""
    tests = [step for value in values for step in ((_IS, 0, 1, value), then)]
    return [(_IS, 0, len(tests) + 2, number), (_LOAD, 0, 0, _FIRST_ARGUMENT), *tests, otherwise]


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_char_p))


def install_filter() -> None:
    """Filter the calls of this process and of all it starts, for ever. Needs PR_SET_NO_NEW_PRIVS. Raises StageError."""
    rows = [struct.pack("HBBI", *row) for row in filter_program(platform.machine())]
    program = _Program(len(rows), b"".join(rows))
    try:
        call("prctl", _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program), 0, 0)
    except OSError as error:
        raise StageError("namespaces", "a filter of system calls", error) from error
