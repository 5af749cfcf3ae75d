"""The programs, a family a file; a program's name is what it promises."""

from __future__ import annotations

from collections.abc import Mapping

from tests.contract.plain.families import (
    asynchronous,
    concurrency,
    environment,
    errors,
    files,
    imports,
    libraries,
    logging,
    output,
    processes,
    values,
)
from tests.contract.plain.program import Program

FAMILIES: dict[str, Mapping[str, str | Program]] = {
    "logging": logging.PROGRAMS,
    "libraries": libraries.PROGRAMS,
    "output": output.PROGRAMS,
    "imports": imports.PROGRAMS,
    "environment": environment.PROGRAMS,
    "files": files.PROGRAMS,
    "concurrency": concurrency.PROGRAMS,
    "asyncio": asynchronous.PROGRAMS,
    "processes": processes.PROGRAMS,
    "values": values.PROGRAMS,
    "errors": errors.PROGRAMS,
}

# Where it matters whether the handler is a coroutine; the other families look at what is there before a call.
CALLED_EITHER_WAY = {"logging", "libraries", "output", "concurrency", "errors"}
