"""The whole table, family by family."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.http.rows import Row
from tests.contract.http.table import chunks, connections, framing, headers, request_line

FAMILIES: dict[str, list[Row]] = {
    "request line": request_line.ROWS,
    "Host": headers.HOSTS,
    "field names": headers.NAMES,
    "field values": headers.VALUES,
    "line ends": headers.LINE_ENDS,
    "size of the head": headers.SIZES,
    "Content-Length": framing.LENGTHS,
    "Transfer-Encoding": framing.CODINGS,
    "both": framing.PAIRS,
    "chunk sizes": chunks.SIZES,
    "chunk extensions": chunks.EXTENSIONS,
    "line ends of chunks": chunks.LINE_ENDS,
    "trailers": chunks.TRAILERS,
    "pipelining": connections.PIPELINING,
    "early answers": connections.EARLY,
    "Expect": connections.EXPECT,
    "persistence": connections.PERSISTENCE,
    "upgrades and HEAD": connections.UPGRADES,
    "half-closed sockets": connections.SHUT_SIDES,
    "no HTTP at all": connections.OTHERS,
}
ROWS: list[Row] = [replace(row, family=family) for family, rows in FAMILIES.items() for row in rows]
