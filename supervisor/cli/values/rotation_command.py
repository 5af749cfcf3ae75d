"""``cellblock keys rotate``: a new key for the server's secrets and variables, while it serves."""

from __future__ import annotations

import sys
import time
from typing import Any

from supervisor.cli import output
from supervisor.cli.command_errors import refused
from supervisor.cli.commands.resources import as_object
from supervisor.cli.parameters import Json, Token, Url, connect

# Each request works for some seconds.  So many of them without any progress, and something is wrong.
IDLE_ROUNDS_MOST = 10


def rotate(as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Replace the key that seals secrets and variables; functions and fronts go on meanwhile.

    It takes the administrator's token.  A run that is broken off, by whatever,
    leaves everything readable, and the next run goes on with it.  Afterwards
    keep a new copy of DATA_DIR/front/sealing.key; older backups need the
    older copy.

    Examples:

      cellblock keys rotate
    """
    client = connect(url, token)
    address = client.url("sealing-key", "rotate")
    least, idle = None, 0
    while True:
        found = _progress(client.send("POST", address))
        if len(found["keys"]) == 1:
            break
        idle = idle + 1 if least is not None and found["left"] >= least else 0
        least = found["left"]
        if idle >= IDLE_ROUNDS_MOST:
            raise refused(f"the rotation does not get on: {least} values are left; see the server's log")
        if sys.stderr.isatty():
            output.fail_line(f"{least} secrets and variables are left")
        if not least:
            time.sleep(0.1)  # a change was under way when the server looked
    if as_json:
        output.write_json(found)
        return
    output.write_line(f"every secret and variable is sealed by a new key ({found['keys'][0]})")
    output.write_line("keep a new copy of DATA_DIR/front/sealing.key; backups from before need the old one")


def _progress(answer: Any) -> dict[str, Any]:
    found = as_object(answer)
    if not isinstance(found.get("left"), int) or not isinstance(found.get("keys"), list) or not found["keys"]:
        raise refused("the server's answer has another form than expected; it is another version")
    return found
