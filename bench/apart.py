"""Whether a stranger can tell a private function from an absent one by the time of its answer.

``python -m bench.apart`` asks for both in turns, on one connection and without a credential, and prints
median and interquartile range of each, and in how many pairs the private one was slower: half of them is what
knowing nothing gives.  A third function that is public shows that the clock sees a difference.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench import machine
from bench.contestants import TOKEN, cellblock

TIMES = 4000
# The first answers of a connection are slower, whatever they are about.
WARM_UP = 200
# As long as each other, so that nothing is told apart by the length of what is asked for.
NAMES = {"private": "private-1", "absent": "nothing-1", "public": "publick-1"}
SOURCE = "def handle(req):\n    return {}\n"


def deploy(url: str) -> None:
    """The private one and the public one."""
    for name, is_public in ((NAMES["private"], False), (NAMES["public"], True)):
        body = {
            "name": name,
            "options": {"public": is_public},
            "source": {"code": base64.b64encode(SOURCE.encode()).decode()},
        }
        headers = {"Authorization": f"Bearer {TOKEN}"}
        where = f"{url}/spaces/demo/functions"
        httpx.post(where, json=body, headers=headers, timeout=60).raise_for_status()


def measure(url: str, times: int, seed: int) -> dict[str, list[float]]:
    """Microseconds of each answer, by what was asked for; in pairs whose order is drawn."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    drawn, found = random.Random(seed), {kind: list[float]() for kind in NAMES}
    for number in range(WARM_UP + times):
        for kind in drawn.sample(list(NAMES), len(NAMES)):
            began = time.perf_counter_ns()
            connection.request("POST", f"/spaces/demo/functions/{NAMES[kind]}/invoke")
            answer = connection.getresponse()
            answer.read()
            took = (time.perf_counter_ns() - began) / 1e3
            if (answer.status == 401) != (kind != "public"):
                raise SystemExit(f"{kind}: answered {answer.status}")
            if number >= WARM_UP:
                found[kind].append(took)
    connection.close()
    return found


def lines(found: Mapping[str, Sequence[float]]) -> list[str]:
    """What there is to print."""
    told = []
    for kind, all_of_it in found.items():
        first, median, third = statistics.quantiles(all_of_it, n=4)
        told.append(f"{kind}: median {median:.1f} us, half of {len(all_of_it)} {first:.1f} to {third:.1f} us")
    for kind in ("private", "public"):
        pairs = list(zip(found[kind], found["absent"], strict=True))
        right = sum((one > other) + (one == other) / 2 for one, other in pairs) / len(pairs)
        told.append(f"{kind} slower than absent: {right:.1%} of the pairs")
    return told


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(prog="bench.apart", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--seed", type=int, default=1, help="of the order in which they are asked for")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cellblock-bench-") as folder:
        Path(folder).chmod(0o755)
        with cellblock(Path(folder) / "data", 1, function_logs="false") as server:
            deploy(server.url)
            found = measure(server.url, given.times, given.seed)
    print("\n".join([machine.in_short(), *lines(found)]))


if __name__ == "__main__":
    main()
