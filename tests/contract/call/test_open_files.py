"""``open_files`` over all of its range, whatever limit the server itself was started with."""

from __future__ import annotations

import pytest

from tests.support.server import Server

SOURCE = (
    "import resource\ndef handle(req):\n    return {'body': resource.getrlimit(resource.RLIMIT_NOFILE)[1]}\n"
)


@pytest.mark.parametrize("most", [16, 256, 4096])
def test_a_function_may_open_as_many_files_as_its_option_says(server: Server, most: int) -> None:
    server.deploy(f"opens-{most}", SOURCE, open_files=most)
    assert server.call(f"opens-{most}").text == str(most)
