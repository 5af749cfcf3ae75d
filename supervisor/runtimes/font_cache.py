"""matplotlib's list of fonts, made with the runtime: else each cell makes one at its first import.

It looks at every font of the host and of its own, which takes seconds.  In a cell
``worker.imports.matplotlib_fonts`` puts the list where matplotlib looks for it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

# Beside the libraries, and no package: ``worker.imports.matplotlib_fonts`` has the name too.
FOLDER = ".matplotlib"
# Of a few hundred fonts; a machine under heavy load takes its time.
SECONDS = 180.0
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); import matplotlib.font_manager"


def make_font_list(python: Path, libraries: Path) -> bool:
    """Unless there is one, or no matplotlib; False where it could not be made.  OSError."""
    if not (libraries / "matplotlib").is_dir() or (libraries / FOLDER).is_dir():
        return True
    made = Path(tempfile.mkdtemp(prefix=FOLDER, dir=libraries))
    try:
        places = dict.fromkeys(("MPLCONFIGDIR", "XDG_CACHE_HOME", "HOME"), str(made))
        status = subprocess.run(
            [str(python), "-I", "-S", "-B", "-c", _PROGRAM, str(libraries)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            umask=0o022,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **places},
        ).returncode
        lists = list(made.glob("fontlist-*.json"))
        if status or not lists:
            return False
        for entry in made.iterdir():
            if entry.is_dir():  # fontconfig's own
                shutil.rmtree(entry)
            elif entry not in lists:
                entry.unlink()
        made.chmod(0o755)
        made.rename(libraries / FOLDER)
    except subprocess.TimeoutExpired:
        return False
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return True
