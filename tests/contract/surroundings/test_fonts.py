"""Fonts: a cold start neither looks at each of them nor complains that nobody has configured them."""

from __future__ import annotations

import pytest

from supervisor.runtimes import font_cache
from tests.contract.surroundings.conftest import Deploy, body, call_and_log
from tests.support.runtimes import runtime_or_skip
from tests.support.server import Server
from worker.imports import matplotlib_fonts as in_a_cell

# matplotlib says so in its log where it makes a list of its own.
PLOTS = """
import io, logging, os, subprocess
SAID = []
class Keeps(logging.Handler):
    def emit(self, record):
        SAID.append(record.getMessage())
logging.getLogger("matplotlib").addHandler(Keeps())
logging.getLogger("matplotlib").setLevel(logging.INFO)
logging.getLogger("matplotlib").propagate = False
import matplotlib
{between}
from matplotlib import font_manager, pyplot

def handle(req):
    figure, axes = pyplot.subplots()
    axes.set_title("a title")
    picture = io.BytesIO()
    figure.savefig(picture)
    command = "command -v fc-match > /tmp/found || exit 0; fc-match sans"
    found = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    return {{"body": {{"made": [text for text in SAID if "fontManager" in text], "said": found.stderr,
                      "picture": len(picture.getvalue())}}}}
"""
MADE = "generated new fontManager"


@pytest.mark.promise("S141")
def test_matplotlib_finds_the_list_of_fonts_that_came_with_the_runtime(
    server: Server, deploy: Deploy
) -> None:
    runtime = runtime_or_skip("python3.11")
    if not (runtime.libraries / "matplotlib").is_dir():
        pytest.skip("the runtime has no matplotlib")
    assert list((runtime.libraries / font_cache.FONTS_FOLDER).glob("fontlist-*.json"))
    options = {"template": runtime.name, "timeout": 60, "memory": 512}
    name = deploy("plots", PLOTS.format(between=""), **options)
    answer, lines = call_and_log(server, name)
    found = body(answer)
    assert (found["made"], found["said"], lines) == ([], "", [])
    assert found["picture"] > 1000
    # The control: without that list it makes one.
    gone = "[os.remove(os.path.join('/tmp/matplotlib', name)) for name in os.listdir('/tmp/matplotlib')]"
    found = body(server.call(deploy("plots", PLOTS.format(between=gone), **options)))
    assert found["made"] == [MADE]


def test_the_installation_and_the_cell_mean_the_same_folder() -> None:
    assert font_cache.FONTS_FOLDER == in_a_cell.FONTS_FOLDER
