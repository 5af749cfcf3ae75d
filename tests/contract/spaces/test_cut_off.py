"""A server that dies in the middle of a delete: at the next start it is finished, or nothing was lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.front.api.space_deletion import SHRED_NAME
from tests.contract.spaces.test_deleted import bytes_with
from tests.support.api import body, front, make_space
from tests.support.server import REPOSITORY

DEADLINE_S = 120
CODE = b"# qzcode\ndef handle(req):\n    return None\n"
# Kills itself when the delete reaches the named step: before it, in the middle of it, or after it.
DELETES = """
import os, signal, sys
from pathlib import Path
from supervisor.bundles.bundle_store import BundleStore
from supervisor.front.api import space_deletion
from supervisor.store.code import bundle_queries
from supervisor.store.database import Database
from supervisor.store.tenants import audit_queries, space_queries, space_store
from tests.support.api import front
from tests.support.control import FakeControl

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

owner, _, name = sys.argv[2].rpartition(".")
with front(Path(sys.argv[1])) as api:
    setattr(eval(owner), name, die)
    api("DELETE", "/spaces/doomed?confirm=doomed")
raise SystemExit("it was not reached")
"""
# Before the commit; after it; before the logs; before the bundles on disk, and in the store; between a
# bundle's row and its pieces; before the name is free; before the store is rewritten.
UNDONE = ("space_queries.begin_delete", "audit_queries.add")
FINISHED = (
    "FakeControl.changed",
    "space_deletion.delete_space",
    "BundleStore.remove",
    "space_queries.delete_bundle",
    "bundle_queries.delete_pieces",
    "space_queries.end_delete",
    "Database.shred",
)


def cut_off(folder: Path, point: str) -> None:
    """A data directory whose server died at that point of a delete."""
    with front(folder) as api:
        make_space(api, "doomed")
        assert api("POST", "/spaces/doomed/functions", body("qzname", CODE)).status_code == 201
        assert api("PUT", "/spaces/doomed/variables/QZ", {"value": "qzvalue"}).status_code == 201
        logs = api.settings.logs_dir / "doomed" / "qzname"
        logs.mkdir(parents=True)
        (logs / "0000000000000001-0123456789ab-000000000001.log").write_bytes(b"qzlogged")
    done = subprocess.run(
        [sys.executable, "-c", DELETES, str(folder), point],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.promise("S210")
@pytest.mark.parametrize("point", FINISHED)
def test_a_delete_that_a_kill_cut_off_is_finished_at_the_next_start(tmp_path: Path, point: str) -> None:
    cut_off(tmp_path, point)
    with front(tmp_path) as api:
        if point != "Database.shred":
            assert api("POST", "/spaces", {"name": "doomed"}).status_code == 409, "it is being deleted"
        assert api("GET", "/spaces/doomed").status_code == 404
        api.run(api.app.state.context.space_deletion.finish_all())
        assert not (api.settings.logs_dir / "doomed").exists()
        assert not (tmp_path / SHRED_NAME).exists()
        make_space(api, "doomed")
        for kind in ("functions", "variables"):
            assert api("GET", f"/spaces/doomed/{kind}").json()["data"] == []
        assert bytes_with(tmp_path, b"qzcode", b"qzvalue", b"qzlogged") == {}


@pytest.mark.promise("S214")
@pytest.mark.parametrize("point", UNDONE)
def test_a_delete_that_a_kill_cut_off_before_it_was_stored_lost_nothing(tmp_path: Path, point: str) -> None:
    cut_off(tmp_path, point)
    with front(tmp_path) as api:
        api.run(api.app.state.context.space_deletion.finish_all())
        assert api("GET", "/spaces/doomed").status_code == 200
        assert api("GET", "/spaces/doomed/functions/qzname/code").status_code == 200
        assert api("GET", "/spaces/doomed/variables/QZ").json()["value"] == "qzvalue"
        assert (api.settings.logs_dir / "doomed" / "qzname").exists()
        assert api("DELETE", "/spaces/doomed?confirm=doomed").status_code == 204
