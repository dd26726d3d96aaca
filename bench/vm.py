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


def command(name, *options):
    """scripts/vm-run with kipc and Binder; the last word runs the program in the guest, and
    what is appended to it are its arguments."""
    found = list(pathlib.Path(f"/lib/modules/{release()}").rglob("binder_linux.ko*"))
    if not found:
        sys.exit(f"bench: the kernel {release()} has no module binder_linux")
    binder = found[0]
    return ["scripts/vm-run", "--name", name, "--copy", "build/bench/kipc-bench:/bin/kipc-bench",
            "--copy", f"{binder}:/lib/{binder.name}", *options,
            f"insmod /lib/{binder.name} && exec kipc-bench "]
