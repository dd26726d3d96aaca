# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark's test VM."""

import os
import pathlib
import subprocess
import sys


def use_default_kernel():
    """Binder is a module of the distribution's kernel, and figures are of that."""
    for name in ("KERNEL", "KDIR", "KIPC_CHROOT", "MAKEFLAGS"):
        os.environ.pop(name, None)


def release():
    return subprocess.run(["scripts/kernel-release"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


LIBRARIES = ["libkipc-sysv.so", "libkipc-posixmq.so"]

PROGRAM = "kipc-bench"
# The works of the drop-in libraries: what runs them, by the mechanism
DROPIN = {
    "native": "kipc-bench-dropin --dropin=native",
    "kipc": "LD_PRELOAD=" + ":".join(f"/lib/{name}" for name in LIBRARIES)
            + " kipc-bench-dropin --dropin=kipc",
}


def command(name, run, *options):
    """scripts/vm-run with kipc and Binder, in which the shell does run."""
    found = list(pathlib.Path(f"/lib/modules/{release()}").rglob("binder_linux.ko*"))
    if not found:
        sys.exit(f"bench: the kernel {release()} has no module binder_linux")
    binder = found[0]
    copies = [f"build/bench/{program}:/bin/{program}"
              for program in ("kipc-bench", "kipc-bench-dropin")]
    copies += [f"build/userlib/{library}:/lib/{library}" for library in LIBRARIES]
    copies.append(f"{binder}:/lib/{binder.name}")
    return ["scripts/vm-run", "--name", name, *(f"--copy={copy}" for copy in copies), *options,
            f"insmod /lib/{binder.name} && {run}"]
