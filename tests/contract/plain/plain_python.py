"""A program in plain Python: a virtual environment like an author's, and a process for each program."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from supervisor.runtimes import Runtime
from tests.contract.plain.came import Came
from tests.contract.plain.program import Run
from tests.support.patience import FACTOR

DRIVER = Path(__file__).with_name("driver.py")
PLAIN_SECONDS = 60.0 * FACTOR
# What a cell has that an author can read in docs/functions.md; on a Debian machine a login gives the same.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "USER": "cell",
    "LOGNAME": "cell",
    "PYTHONDONTWRITEBYTECODE": "1",
}
UMASK = 0o022

# Who called the program stands above it in a stack that it prints.
FRAME_OF_THE_DRIVER = re.compile(
    rf'  File "{re.escape(str(DRIVER))}", line \d+, in \S+\n    .*\n(?: +[~^]+\n)?'
)


@dataclass(frozen=True)
class PlainPython:
    """A runtime's interpreter with its libraries and the package ``function``, as an author installs them."""

    python: Path
    shown: tuple[tuple[str, str], ...]

    @classmethod
    def made(cls, place: Path, runtime: Runtime, ours: Path) -> PlainPython:
        """A virtual environment in ``place``; ``ours`` holds the package ``function`` and nothing else."""
        packages = place / "lib" / runtime.name / "site-packages"
        packages.mkdir(parents=True)
        (packages / "libraries.pth").write_text(f"{runtime.libraries}\n{ours}\n")
        (place / "pyvenv.cfg").write_text(f"home = {runtime.python.parent}\n")
        (place / "bin").mkdir()
        (place / "bin/python").symlink_to(runtime.python)
        return cls(place / "bin/python", ((str(runtime.libraries), "/opt/libraries"),))

    def run(self, run: Run) -> Came:
        """The program in a process of its own, in a folder of its own."""
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place).resolve() / "function"
            asked, noted, home = folder.with_name("asked"), folder.with_name("noted"), folder.with_name("tmp")
            for name, (text, mode) in run.files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                path.chmod(mode)
            asked.write_text(json.dumps(run.program.calls))
            noted.touch()
            home.mkdir()
            done = subprocess.run(
                [self.python, DRIVER, asked, noted],
                cwd=folder,
                env={**ENVIRONMENT, "HOME": str(home), "TMPDIR": str(home), **run.program.environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                umask=UMASK,
                timeout=PLAIN_SECONDS,
            )
            answers = [json.loads(line) for line in noted.read_text().splitlines()]
            if len(answers) < len(run.program.calls) and not (answers and "raised" in answers[-1]):
                signal, code = -done.returncode, done.returncode
                answers.append({"ended": f"signal {signal}" if signal > 0 else f"code {code}"})
        shown = (*self.shown, (str(folder), "/function"), (str(home), "/tmp"))
        return Came(
            json.loads(placed(json.dumps(answers), shown)),
            placed(lines_of(done.stdout), shown),
            placed(lines_of(done.stderr), shown),
        )


def placed(text: str, shown: Iterable[tuple[str, str]]) -> str:
    """As if it had run where a cell has it, and nobody had called it."""
    text = FRAME_OF_THE_DRIVER.sub("", text)
    for path, stands in shown:
        text = text.replace(path, stands)
    return text


def lines_of(data: bytes) -> str:
    """As entries of a log have it: without the last line end."""
    return data.decode("utf-8", "replace").rstrip("\n")
