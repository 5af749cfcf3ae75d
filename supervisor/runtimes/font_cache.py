"""matplotlib's list of fonts, made when a runtime is installed.

Without it each cell would make one at its first import, which takes seconds: matplotlib looks at every font
of the host and of its own.  In a cell ``worker.imports.matplotlib_fonts`` puts the list where matplotlib
looks for it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

# Among the libraries, under a name that no package has; ``worker.imports.matplotlib_fonts`` has it too.
FONTS_FOLDER = ".matplotlib"
# For a few hundred fonts, on a machine under heavy load.
SECONDS = 180.0
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); import matplotlib.font_manager"


def make_font_list(python: Path, libraries: Path) -> bool:
    """Make the list, unless it is there or matplotlib is not; False if that failed.  OSError."""
    if not (libraries / "matplotlib").is_dir() or (libraries / FONTS_FOLDER).is_dir():
        return True
    made = Path(tempfile.mkdtemp(prefix=FONTS_FOLDER, dir=libraries))
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
        made.rename(libraries / FONTS_FOLDER)
    except subprocess.TimeoutExpired:
        return False
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return True
