"""matplotlib's list of fonts, from the runtime: without one it makes its own, which takes seconds."""

import os
from typing import Any

# Beside the libraries, where the installation put it (``supervisor.runtimes.font_cache``).
FOLDER = ".matplotlib"


def put(matplotlib: Any) -> None:
    """Where matplotlib looks for it, unless the author has put something there; once it is imported."""
    source = os.path.join(os.path.dirname(os.path.dirname(matplotlib.__file__)), FOLDER)
    target = os.environ.get("MPLCONFIGDIR", "")
    try:
        names = os.listdir(source)  # a matplotlib of the bundle's own has none
        os.makedirs(target, exist_ok=True)
        for name in names:
            with open(os.path.join(source, name), "rb") as made:
                content = made.read()
            with open(os.path.join(target, name), "xb") as file:
                file.write(content)
    except OSError:  # it makes its own
        pass
