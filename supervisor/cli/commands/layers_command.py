"""``cellblock layers``: the layers of containment that a running server really has, with the evidence."""

from __future__ import annotations

from supervisor.cli import output
from supervisor.cli.command_errors import refused
from supervisor.cli.parameters import Json, Token, Url, connect


def layers(as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Print each layer that holds the server's cells: enforced, degraded or absent, with the evidence.

    The evidence is what the last cell saw when it tried what must fail, before it served.

    Examples:

      cellblock layers
      cellblock layers --json
    """
    client = connect(url, token)
    state = client.get(f"{client.target.url}/healthz", {"verbose": "1"})
    found = state.get("layers") if isinstance(state, dict) else None
    if not isinstance(found, list):
        raise refused("the server's answer to /healthz?verbose has no layers: it is another version")
    if as_json:
        output.write_json(found)
        return
    rows = [(layer.get("layer"), layer.get("status"), layer.get("evidence")) for layer in found]
    output.write_table(("LAYER", "STATUS", "EVIDENCE"), rows, "the server has published no layers yet")
