"""The program ``cellblock``, as installed and as ``python -m supervisor.cli``.

A front's imports take the longest part of a server's start, so the process that makes them starts first; then
the probes of the host, which mostly wait.  A plain ``cellblock serve`` imports nothing of typer.
"""

from __future__ import annotations

import gc
import sys

WITHOUT_A_SERVER = ("--help", "-h")
OF_A_HOST = (["serve"], ["check"])
# Each id is itself: the map of a user namespace that is not nested in another.
ALL_IDS = [b"0", b"0", b"4294967295"]


def main() -> int:
    """Run the command that the process's arguments name; the exit code."""
    if sys.argv[1:2] in OF_A_HOST and not _has_all_ids():
        from supervisor.warden.jail import id_maps

        id_maps.leave_a_root_without_ids()
    if sys.argv[1:2] == ["serve"] and not set(WITHOUT_A_SERVER) & set(sys.argv):
        # The objects that imports make stay for good: collections would walk them in vain.
        gc.disable()
        from supervisor.warden.launch import front_standby

        front_standby.begin()
        from supervisor.warden.jail import probes
        from supervisor.warden.launch import zygote_standby

        zygote_standby.begin()
        probes.begin()
        from supervisor.cli import exits
        from supervisor.cli.serving import plain_arguments, serve

        options = plain_arguments.options_of(sys.argv[2:])
        if options is not None:
            return exits.ended(lambda: serve.run(options))

    from supervisor.cli import main as command_line

    return command_line.main()


def _has_all_ids() -> bool:
    """Whether this is the host's own user namespace; asked without imports, for most servers are there."""
    with open("/proc/self/uid_map", "rb") as ids:
        return ids.read().split() == ALL_IDS


if __name__ == "__main__":
    sys.exit(main())
