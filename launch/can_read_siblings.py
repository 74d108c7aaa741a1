"""Exits with 0 where one child process may read another's memory, as Open MPI's shared memory transport wants to.

Containers forbid the system call (seccomp) or the access (ptrace scope); Open MPI 4 then fails in the first large message.
"""
import ctypes
import os
import sys

PR_SET_PTRACER = 0x59616D61
PR_SET_PTRACER_ANY = ctypes.c_ulong(-1)
libc = ctypes.CDLL(None, use_errno=True)


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def read_from(pid: int, address: int, length: int) -> bytes:
    buffer = ctypes.create_string_buffer(length)
    local, remote = IoVec(ctypes.addressof(buffer), length), IoVec(address, length)
    count = libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return buffer.raw if count == length else b""


def run_in_child(action) -> int:
    """Forks, runs `action` in the child, whose exit status is whether it returned True; returns the child's pid."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if action() else 1)
    return pid


def main() -> int:
    secret = ctypes.create_string_buffer(b"allreco", 8)  # a fork has it at the same address
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()

    def owner() -> bool:
        os.close(done_write)
        libc.prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)  # as Open MPI does
        os.write(ready_write, b"x")
        os.read(done_read, 1)  # until the parent closes its end
        return True

    owner_pid = run_in_child(owner)
    os.read(ready_read, 1)
    reader_pid = run_in_child(lambda: read_from(owner_pid, ctypes.addressof(secret), 8) == secret.raw)
    status = os.waitpid(reader_pid, 0)[1]
    os.close(done_write)
    os.waitpid(owner_pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
