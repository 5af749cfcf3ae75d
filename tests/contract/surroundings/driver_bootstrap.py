"""Sets up ``sys.path`` as a zygote does and says what that leads to; run by each interpreter, so Python 3.9.

``python -I -S driver_bootstrap.py _ _ BOOTSTRAP TENANT`` where BOOTSTRAP is the zygote's own code up to
its first import of ours, and TENANT is a folder of files that would like to be imported instead of
ours.  Prints a JSON object.
"""

import importlib
import json
import pkgutil
import sys


def files_of(names):
    """Where each module comes from, or the kind of error that its import ends in."""
    found = {}
    for name in names:
        try:
            found[name] = getattr(importlib.import_module(name), "__file__", None) or "built in"
        except Exception as error:
            found[name] = type(error).__name__
    return found


def main():
    """Say it all."""
    bootstrap, tenant = sys.argv[3:]
    before = list(sys.path)
    exec(bootstrap)
    after = list(sys.path)
    import _cellblock.sandbox.places

    import function

    ours = [
        module.name
        for package in (_cellblock, function)
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        if not module.name.startswith("_cellblock.standins")
    ]
    modules = files_of(["_cellblock", "function", *ours])
    standins = files_of(["swx", "swx.auth.token"])
    started_with = sorted(importlib.import_module("_cellblock.imports.namesakes").STARTED_WITH)
    # As the loader has it, once everything above is imported.
    _cellblock.sandbox.places.function_dir = tenant
    importlib.import_module("_cellblock.imports.namesakes").author_first()
    path = list(sys.path)
    absent = files_of(["supervisor", "seccomp", "worker.wire"])
    contested = files_of(
        [
            "secrets",
            "json",
            "function",
            "function.secrets",
            "msgpack",
            "worker",
            "werkzeug",
            "asyncio",
            "mine",
        ]
    )

    said = {
        "python": sys.version_info[:2],
        "path": after,
        "before": before,
        "tenants_path": path,
        "modules": modules,
        "contested": contested,
        "absent": absent,
        "standins": standins,
        "started_with": started_with,
        "flags": [sys.flags.isolated, sys.flags.no_site, sys.flags.ignore_environment],
        "site": "site" in sys.modules,
    }
    print(json.dumps(said))


main()
