"""``python -m tests.support.under PROFILE -- COMMAND…``: a program under one of our filters."""

from __future__ import annotations

import ctypes
import os
import sys

from seccomp.compiler import compile_profile
from seccomp.install import install
from seccomp.profile import load

PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Become the program; its exit code is ours."""
    name, dashes, *command = sys.argv[1:]
    assert dashes == "--"
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    install(compile_profile(load(name), os.uname().machine))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
