"""Gives matplotlib the runtime's list of fonts: without one it makes its own, which takes seconds."""

import os
from typing import Any

# The folder beside the libraries where ``supervisor.runtimes.font_cache`` has put the list.
FONTS_FOLDER = ".matplotlib"


def put(matplotlib: Any) -> None:
    """Copy the list to where matplotlib looks for it, unless the author has put a file there."""
    source = os.path.join(os.path.dirname(os.path.dirname(matplotlib.__file__)), FONTS_FOLDER)
    target = os.environ.get("MPLCONFIGDIR", "")
    try:
        names = os.listdir(source)  # FileNotFoundError beside a matplotlib of the bundle's own
        os.makedirs(target, exist_ok=True)
        for name in names:
            with open(os.path.join(source, name), "rb") as made:
                content = made.read()
            with open(os.path.join(target, name), "xb") as file:
                file.write(content)
    except OSError:  # matplotlib makes its own
        pass
