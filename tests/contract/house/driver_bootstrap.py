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
    import function
    import worker

    ours = [
        module.name
        for package in (worker, function)
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        if not module.name.startswith("worker.standins")
    ]
    modules = files_of(["worker", "function", *ours])
    # As worker.loader does it, once everything above is imported.
    sys.path.append(tenant)
    contested = files_of(
        ["secrets", "json", "function.secrets", "worker.wire", "msgpack", "werkzeug", "mine"]
    )
    import secrets

    said = {
        "python": sys.version_info[:2],
        "path": after,
        "before": before,
        "modules": modules,
        "contested": contested,
        "standins": files_of(["swx", "swx.auth.token"]),
        "supervisor": files_of(["supervisor"])["supervisor"],
        "token_hex": len(secrets.token_hex(4)),
        "flags": [sys.flags.isolated, sys.flags.no_site, sys.flags.ignore_environment],
        "site": "site" in sys.modules,
    }
    print(json.dumps(said))


main()
