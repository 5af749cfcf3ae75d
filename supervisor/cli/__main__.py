"""The program ``cellblock``, as installed and as ``python -m supervisor.cli``.

Of a server the front's imports take longest, so the process that makes them is started first: before the
command line's own, which are next.
"""

from __future__ import annotations

import sys

WITHOUT_A_SERVER = ("--help", "-h")


def main() -> int:
    """Run what the process's arguments say; returns the exit code."""
    if sys.argv[1:2] == ["serve"] and not set(WITHOUT_A_SERVER) & set(sys.argv):
        from supervisor.warden.jail import standby

        standby.begin()

    from supervisor.cli import main as command_line

    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
