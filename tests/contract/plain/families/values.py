"""Values: what a handler may return, and what it is given."""

from __future__ import annotations

from tests.contract.plain.program import Differs, Program


def not_json(what: str) -> Differs:
    """What a caller gets where plain Python's json.dumps raises."""
    message = f"contract error: {what}, which JSON cannot carry…"
    return Differs("answers", answers=({"status": 502, "message": message},), stderr="")


PROGRAMS: dict[str, str | Program] = {
    "nothing returned is an empty answer": """
        def handle(req):
            pass
    """,
    "an empty dict is an empty answer": """
        def handle(req):
            return {}
    """,
    "text is sent as it is": """
        def handle(req):
            return {"body": "Stra\\u00dfe \\U0001f350\\n"}
    """,
    "bytes, a bytearray and a memoryview are sent as they are": Program(
        """
        def handle(req):
            raw = bytes(range(256))
            return {"body": {"b": raw, "a": bytearray(raw), "m": memoryview(raw)}[req.body.decode()]}
        """,
        calls=({"body": "b"}, {"body": "a"}, {"body": "m"}),
    ),
    "a dict is JSON": """
        def handle(req):
            return {"body": {"a": [1, 2.5, None, True, "x"], "b": {"c": []}}}
    """,
    "numbers as body are their text": Program(
        """
        VALUES = {"int": 3, "float": 2.5, "big": 10 ** 30}
        def handle(req):
            return {"body": VALUES[req.body.decode()]}
        """,
        calls=tuple({"body": name} for name in ("int", "float", "big")),
    ),
    "a tuple as body is its text": Program(
        """
        def handle(req):
            return {"body": (1, "a")}
        """,
        differs=Differs("advice", stderr="body is of type tuple…"),
    ),
    "a Decimal and a date as body are their text": Program(
        """
        import datetime, decimal, uuid
        VALUES = {"d": decimal.Decimal("1.10"), "t": datetime.date(2026, 12, 1), "u": uuid.UUID(int=7)}
        def handle(req):
            return {"body": VALUES[req.body.decode()]}
        """,
        calls=tuple({"body": name} for name in "dtu"),
    ),
    "an object as body is what its __str__ says": """
        class Receipt:
            def __str__(self):
                return "3 pears"
        def handle(req):
            return {"body": Receipt()}
    """,
    "keys of a JSON body that are numbers become text": """
        def handle(req):
            return {"body": {1: "a", True: "b", None: "c", 2.5: "d"}}
    """,
    "enums of int and str are JSON": Program(
        """
        import enum
        class Size(enum.IntEnum):
            SMALL = 1
        class Kind(str, enum.Enum):
            PEAR = "pear"
        def handle(req):
            return {"body": {"size": Size.SMALL, "kind": Kind.PEAR}}
        """,
        varies=True,
    ),
    "named tuples in JSON are lists": """
        import collections
        Point = collections.namedtuple("Point", "x y")
        def handle(req):
            return {"body": {"at": Point(1, 2)}}
    """,
    "an OrderedDict and a defaultdict are JSON": """
        import collections
        def handle(req):
            made = collections.defaultdict(list)
            made["a"].append(1)
            return {"body": collections.OrderedDict(x=made)}
    """,
    "deep nesting is JSON": """
        def handle(req):
            value = []
            for _ in range(100):
                value = [value]
            return {"body": {"deep": value}}
    """,
    "large integers and exact floats keep their digits": """
        def handle(req):
            return {"body": {"int": 2 ** 80, "float": 0.1 + 0.2, "small": 5e-324}}
    """,
    "a status code is the answer's": Program(
        """
        import http
        def handle(req):
            return {"status_code": http.HTTPStatus.CREATED, "body": "made"}
        """,
    ),
    "an error status of the handler's own is sent with its body": """
        def handle(req):
            return {"status_code": 418, "body": {"error": "a teapot"}}
    """,
    "a numpy number as body is its text": Program(
        """
        import numpy
        def handle(req):
            return {"body": numpy.float64(2.5)}
        """,
        only="sync",
    ),
    "a numpy array as body is its text": Program(
        """
        import numpy
        def handle(req):
            return {"body": numpy.arange(3)}
        """,
        differs=Differs("advice", stderr="body is of type ndarray…"),
        only="sync",
    ),
    "a pandas frame to JSON and back": Program(
        """
        import io
        import pandas
        def handle(req):
            frame = pandas.read_csv(io.StringIO("fruit,price\\npear,2\\nplum,3\\n"))
            return {"body": {"sum": int(frame.price.sum()), "rows": frame.to_dict("records")}}
        """,
        only="sync",
    ),
    "the event has the method, the body, the path and the query": Program(
        """
        def handle(req):
            return {"body": {
                "method": req.method, "body": req.body.decode(), "path": req.path,
                "q": req.query.getlist("q"), "blank": req.query.get("blank"), "none": req.query.get("none"),
            }}
        """,
        calls=(
            {"method": "PUT", "body": "hi", "path": "/a/b", "query": {"q": ["1", "2"], "blank": ""}},
            {"method": "DELETE"},
            {"method": "PATCH", "path": "/", "query": {"q": "a b+c&d"}},
        ),
        varies=True,
        fresh=True,
    ),
    "the event's headers compare without case": Program(
        """
        def handle(req):
            return {"body": {"one": req.headers["x-one"], "none": req.headers.get("X-None", "none")}}
        """,
        calls=({"headers": {"X-One": "1"}},),
    ),
    "a missing query parameter names itself": Program(
        """
        def handle(req):
            return {"body": req.query["name"]}
        """,
        varies=True,
    ),
    "the event's JSON body is read by json.loads": Program(
        """
        import json
        def handle(req):
            return {"body": {"got": json.loads(req.body)["fruit"]}}
        """,
        calls=({"body": {"fruit": "pear"}},),
    ),
    "the event cannot be given attributes by accident": """
        def handle(req):
            req.user = "Ada"
    """,
    "hashing, compression and encodings give what they give everywhere": """
        import base64, gzip, hashlib, zlib
        def handle(req):
            raw = b"pears" * 100
            return {"body": {
                "sha": hashlib.sha256(raw).hexdigest(), "md5": hashlib.md5(raw).hexdigest(),
                "crc": zlib.crc32(raw), "b64": base64.b64encode(raw[:9]).decode(),
                "gzip": gzip.decompress(gzip.compress(raw)) == raw,
            }}
    """,
    "sqlite in memory and in a file works": """
        import os, sqlite3, tempfile
        def handle(req):
            found = []
            for place in (":memory:", os.path.join(tempfile.mkdtemp(), "db")):
                with sqlite3.connect(place) as base:
                    base.execute("create table t (a)")
                    base.execute("insert into t values (7)")
                    found += base.execute("select a from t").fetchone()
            return {"body": {"found": found}}
    """,
    "ctypes calls the C library": """
        import ctypes
        def handle(req):
            return {"body": str(ctypes.CDLL(None).abs(-3))}
    """,
    "mmap, struct and array work": """
        import array, mmap, struct
        def handle(req):
            with mmap.mmap(-1, 4096) as memory:
                memory[:8] = struct.pack("<q", 7)
                return {"body": {"n": struct.unpack("<q", memory[:8])[0], "a": list(array.array("i", [1, 2]))}}
    """,
    "decimal, fractions and statistics compute": """
        import decimal, fractions, statistics
        def handle(req):
            return {"body": {
                "d": str(decimal.Decimal(1) / 3), "f": str(fractions.Fraction(1, 3) + 1),
                "m": statistics.median([3, 1, 2]),
            }}
    """,
    "set order of text is free, sorted it is the same": """
        def handle(req):
            return {"body": {"sorted": sorted({"b", "a", "c"})}}
    """,
    "a Decimal in a JSON body is refused by its place": Program(
        """
        import decimal
        def handle(req):
            return {"body": {"price": decimal.Decimal("1.10")}}
        """,
        differs=not_json("body['price'] is of type Decimal"),
    ),
    "a datetime in a JSON body is refused by its place": Program(
        """
        import datetime
        def handle(req):
            return {"body": {"orders": [{"at": datetime.datetime(2026, 12, 1)}]}}
        """,
        differs=not_json("body['orders'][0]['at'] is of type datetime"),
    ),
    "a numpy number in a JSON body is refused by its place": Program(
        """
        import numpy
        def handle(req):
            return {"body": {"n": numpy.int64(1)}}
        """,
        differs=not_json("body['n'] is of type int64"),
        only="sync",
    ),
    "bytes in a JSON body are refused by their place": Program(
        """
        def handle(req):
            return {"body": {"raw": b"x"}}
        """,
        differs=not_json("body['raw'] is of type bytes"),
    ),
    "a set in a JSON body is refused by its place": Program(
        """
        def handle(req):
            return {"body": {"some": {1}}}
        """,
        differs=not_json("body['some'] is of type set"),
    ),
    "a generator as body is refused": Program(
        """
        def handle(req):
            return {"body": (str(n) for n in range(3))}
        """,
        differs=Differs("answers", answers=({"status": 502, "message": "contract error: …generator…"},)),
    ),
}
