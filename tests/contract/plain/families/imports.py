"""Imports: the bundle's own modules, what they hide, what finds and reads them."""

from __future__ import annotations

from tests.contract.plain.program import Differs, Program

PROGRAMS: dict[str, str | Program] = {
    "a module beside handler.py is imported": """
        import prices
        def handle(req):
            return {"body": {"price": prices.PEAR}}
        --- prices.py
        PEAR = 2
    """,
    "a package and its modules are imported": """
        from shop import total
        from shop.tax import rate
        def handle(req):
            return {"body": {"total": total(10), "rate": rate}}
        --- shop/__init__.py
        from .tax import rate
        def total(net):
            return net + rate
        --- shop/tax.py
        rate = 2
    """,
    "a package without __init__ is one too": """
        from shop.tax import rate
        import shop
        def handle(req):
            return {"body": {"rate": rate, "file": str(shop.__file__)}}
        --- shop/tax.py
        rate = 2
    """,
    "relative imports inside a package go up and down": """
        from shop.north.till import where
        def handle(req):
            return {"body": where()}
        --- shop/__init__.py
        NAME = "shop"
        --- shop/north/__init__.py
        NAME = "north"
        --- shop/north/till.py
        from .. import NAME as outer
        from . import NAME as inner
        def where():
            return outer + "/" + inner
    """,
    "a relative import in handler.py itself fails as in any script": Program(
        """
        from .prices import PEAR
        def handle(req):
            return {"body": {"price": PEAR}}
        --- prices.py
        PEAR = 2
        """,
        varies=True,
        differs=Differs(
            "advice",
            answers=(
                {
                    "raised": "ImportError",
                    "info": "attempted relative import with no known parent package: …",
                    "line": 1,
                    "code": "from .prices import PEAR",
                },
            ),
            stderr="Traceback…ImportError: attempted relative import with no known parent package: …",
        ),
    ),
    "modules that import each other see what is there so far": """
        import a
        def handle(req):
            return {"body": {"a": a.value, "b": a.b.value}}
        --- a.py
        import b
        value = "a"
        --- b.py
        import a
        value = "b, and a has value: " + str(hasattr(a, "value"))
    """,
    "a circular from-import names the circle": """
        import a
        def handle(req):
            return {}
        --- a.py
        from b import two
        one = 1
        --- b.py
        from a import one
        two = 2
    """,
    "a module that hides one of the standard library is found first": Program(
        """
        import statistics
        def handle(req):
            return {"body": statistics.mean([1, 2, 3])}
        --- statistics.py
        def mean(values):
            return "the bundle's own"
        """,
        varies=True,
        fresh=True,
    ),
    "a module that hides json is found first": """
        import json
        def handle(req):
            return {"body": json.NAME}
        --- json.py
        NAME = "the bundle's own"
    """,
    "a module named like one that the interpreter needs changes nothing": """
        import os
        def handle(req):
            return {"body": str(hasattr(os, "getpid"))}
        --- os.py
        NAME = "the bundle's own"
    """,
    "a module named worker is the bundle's own": """
        import worker
        def handle(req):
            return {"body": worker.NAME}
        --- worker.py
        NAME = "the bundle's own"
    """,
    "a package named worker is the bundle's own": """
        from worker.jobs import NAME
        import worker.loop
        def handle(req):
            return {"body": NAME + worker.loop.NAME}
        --- worker/__init__.py
        --- worker/jobs.py
        NAME = "the bundle's "
        --- worker/loop.py
        NAME = "own"
    """,
    "modules named capture, wire, loader and cell are the bundle's own": """
        import capture, cell, loader, wire
        def handle(req):
            return {"body": capture.NAME + cell.NAME + loader.NAME + wire.NAME}
        --- capture.py
        NAME = "a"
        --- cell.py
        NAME = "b"
        --- loader.py
        NAME = "c"
        --- wire.py
        NAME = "d"
    """,
    "without such a module worker cannot be imported": Program(
        """
        import worker
        def handle(req):
            return {}
        """,
        varies=True,
    ),
    "supervisor cannot be imported": """
        import supervisor
        def handle(req):
            return {}
    """,
    "a module that hides an installed library is found first": Program(
        """
        import requests
        def handle(req):
            return {"body": requests.__version__}
        --- requests/__init__.py
        __version__ = "vendored"
        """,
        varies=True,
    ),
    "a module that hides a library of a library is found first": """
        import orm, priority, databases
        def handle(req):
            return {"body": orm.NAME + priority.NAME + databases.NAME}
        --- orm.py
        NAME = "o"
        --- priority.py
        NAME = "p"
        --- databases/__init__.py
        NAME = "d"
    """,
    "a module named msgpack or werkzeug is the bundle's own": """
        import msgpack
        def handle(req):
            return {"body": msgpack.NAME, "headers": {"X-Query": req.query.get("a", "none")}}
        --- msgpack.py
        NAME = "the bundle's own"
    """,
    "a folder of vendored libraries on sys.path is searched": """
        import os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "vendor"))
        import fruit
        def handle(req):
            return {"body": fruit.NAME}
        --- vendor/fruit.py
        NAME = "pear"
    """,
    "the program's folder comes first on sys.path": """
        import os, sys
        def handle(req):
            return {"body": {"first": sys.path[0], "here": os.getcwd(), "file": __file__}}
    """,
    "the handler's module is named handler": """
        import sys
        def handle(req):
            return {"body": {"name": __name__, "is": sys.modules["handler"].handle is handle}}
    """,
    "a block for __main__ does not run": """
        ran = []
        if __name__ == "__main__":
            ran.append("main")
        def handle(req):
            return {"body": {"ran": ran}}
    """,
    "a module can import the handler": """
        NAME = "handler"
        def handle(req):
            import back
            return {"body": back.name()}
        --- back.py
        import handler
        def name():
            return handler.NAME
    """,
    "a data file beside the code is read by its relative path": """
        def handle(req):
            with open("prices.csv") as file:
                return {"body": file.read()}
        --- prices.csv
        pear,2
        plum,3
    """,
    "a data file is read by the path of the module": """
        from pathlib import Path
        def handle(req):
            return {"body": (Path(__file__).parent / "data" / "note.txt").read_text()}
        --- data/note.txt
        hello
    """,
    "pkgutil.get_data reads a package's file": """
        import pkgutil
        def handle(req):
            return {"body": pkgutil.get_data("shop", "note.txt").decode()}
        --- shop/__init__.py
        --- shop/note.txt
        hello
    """,
    "importlib.resources reads a package's file": Program(
        """
        import importlib.resources
        def handle(req):
            return {"body": (importlib.resources.files("shop") / "note.txt").read_text()}
        --- shop/__init__.py
        --- shop/note.txt
        hello
        """,
        varies=True,
    ),
    "pkgutil.iter_modules and walk_packages list the bundle": """
        import pkgutil, shop
        def handle(req):
            here = sorted(m.name for m in pkgutil.iter_modules(["."]))
            below = sorted(m.name for m in pkgutil.walk_packages(shop.__path__, "shop."))
            return {"body": {"here": here, "below": below}}
        --- shop/__init__.py
        --- shop/tax.py
        --- shop/north/__init__.py
        --- shop/north/till.py
    """,
    "importlib.import_module and reload work": """
        import importlib
        def handle(req):
            module = importlib.import_module("counted")
            first = module.items
            return {"body": {"same": importlib.reload(module).items is first}}
        --- counted.py
        items = []
    """,
    "importlib.util.find_spec says what is there and what is not": """
        import importlib.util
        def handle(req):
            found = {n: importlib.util.find_spec(n) is not None for n in ("prices", "json", "nothing")}
            return {"body": found}
        --- prices.py
    """,
    "a module of an inspected source shows its lines": """
        import inspect, prices
        def handle(req):
            return {"body": inspect.getsource(prices.of) + inspect.getsource(handle)}
        --- prices.py
        def of(fruit):
            return 2
    """,
    "a finder of the program's own is asked": """
        import importlib.abc, importlib.util, sys
        class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path, target=None):
                return importlib.util.spec_from_loader(name, self) if name == "made_up" else None
            def exec_module(self, module):
                module.NAME = "made"
        sys.meta_path.insert(0, Finder())
        import made_up
        def handle(req):
            return {"body": made_up.NAME}
    """,
    "a module's own __getattr__ is asked": """
        import lazy
        def handle(req):
            return {"body": lazy.anything}
        --- lazy.py
        def __getattr__(name):
            return name.upper()
    """,
    "a lazy import in the handler is made once": Program(
        """
        def handle(req):
            import counted
            return {"body": str(counted.next())}
        --- counted.py
        print("imported")
        made = []
        def next():
            made.append(1)
            return len(made)
        """,
        calls=({}, {}),
    ),
    "a failed import leaves nothing half made": """
        import sys
        def handle(req):
            tried = []
            for _ in range(2):
                try:
                    import broken
                except ZeroDivisionError as error:
                    tried.append(str(error))
            return {"body": {"tried": tried, "there": "broken" in sys.modules}}
        --- broken.py
        1 / 0
    """,
    "future annotations, dataclasses and pickles of the handler's classes work": """
        from __future__ import annotations
        import dataclasses, pickle
        @dataclasses.dataclass
        class Fruit:
            name: str
            price: int = 2
        def handle(req):
            pear = pickle.loads(pickle.dumps(Fruit("pear")))
            return {"body": {"module": Fruit.__module__, **dataclasses.asdict(pear)}}
    """,
    "typing.get_type_hints resolves names of the handler": """
        import typing
        class Fruit: pass
        def price(of: "Fruit") -> "int": ...
        def handle(req):
            return {"body": str(typing.get_type_hints(price))}
    """,
    "a zip in the bundle can be imported from": """
        import base64, os, sys, tempfile, zipfile
        path = os.path.join(tempfile.mkdtemp(), "lib.zip")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("zipped.py", "NAME = 'zipped'")
        sys.path.insert(0, path)
        import zipped
        def handle(req):
            return {"body": zipped.NAME}
    """,
    "runpy runs a module of the bundle as __main__": """
        import runpy
        def handle(req):
            return {"body": {"name": runpy.run_module("script", run_name="__main__")["name"]}}
        --- script.py
        name = __name__
    """,
    "site-wide names such as exit, copyright and help are there": """
        import builtins
        def handle(req):
            names = ("exit", "quit", "copyright", "credits", "license", "help")
            return {"body": {name: hasattr(builtins, name) for name in names}}
    """,
    "the standard library's secrets is not the platform's": """
        import secrets
        import function.secrets
        from function import secrets as ours
        def handle(req):
            return {"body": {"hex": len(secrets.token_hex(8)), "ours": ours.exists("no_such"), "same": ours is secrets}}
    """,
    "a module named function does not hide the platform's": """
        from function import secrets, variables
        def handle(req):
            return {"body": {"secret": secrets.get("no_such"), "variable": variables.get("no_such")}}
        --- function.py
        NAME = "the bundle's own"
    """,
}
