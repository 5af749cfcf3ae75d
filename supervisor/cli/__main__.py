"""The program ``cellblock``, as installed and as ``python -m supervisor.cli``.

Of a server the front's imports take longest, so the process that makes them is started first; then what is
tried out on the host, which mostly waits.  A plain ``cellblock serve`` needs nothing of the command line's
library.
"""

from __future__ import annotations

import gc
import sys

WITHOUT_A_SERVER = ("--help", "-h")


def main() -> int:
    """Run what the process's arguments say; returns the exit code."""
    if sys.argv[1:2] == ["serve"] and not set(WITHOUT_A_SERVER) & set(sys.argv):
        # All that an import makes stays: a collection walks it, and finds nothing.
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


if __name__ == "__main__":
    sys.exit(main())
