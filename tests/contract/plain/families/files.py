"""Files: the bundle's folder, scratch files, devices."""

from __future__ import annotations

from tests.contract.plain.program import Differs, Program

PROGRAMS: dict[str, str | Program] = {
    "the working folder is the bundle's": """
        import os
        def handle(req):
            return {"body": {"cwd": os.getcwd(), "there": os.path.exists("handler.py")}}
    """,
    "the working folder can be changed": """
        import os, tempfile
        def handle(req):
            os.chdir(tempfile.gettempdir())
            return {"body": {"is": os.getcwd() == os.path.realpath(tempfile.gettempdir())}}
    """,
    "scratch files of every kind work": """
        import os, tempfile
        def handle(req):
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as named, tempfile.TemporaryDirectory() as folder:
                named.write("x"); named.flush()
                inside = os.path.join(folder, "a")
                os.symlink(named.name, inside)
                os.link(named.name, inside + "2")
                return {"body": {"text": open(inside + "2").read(), "names": sorted(os.listdir(folder))}}
    """,
    "a spooled file rolls over to disk": """
        import tempfile
        def handle(req):
            with tempfile.SpooledTemporaryFile(max_size=4) as file:
                file.write(b"more than four")
                file.seek(0)
                return {"body": file.read()}
    """,
    "the bundle's folder cannot be written": Program(
        """
        def handle(req):
            try:
                with open("note.txt", "w") as file:
                    file.write("x")
                return {"body": "written"}
            except OSError as error:
                return {"body": type(error).__name__ + ": " + error.strerror}
        """,
        differs=Differs(
            "the bundle is read-only",
            answers=(
                {
                    "status": 200,
                    "type": "text/plain; charset=utf-8",
                    "body": "OSError: Read-only file system",
                },
            ),
        ),
    ),
    "files are made for everybody to read": """
        import os, tempfile
        def handle(req):
            path = os.path.join(tempfile.mkdtemp(), "a")
            open(path, "w").close()
            os.mkdir(path + "d")
            return {"body": {"file": oct(os.stat(path).st_mode), "folder": oct(os.stat(path + "d").st_mode)}}
    """,
    "/dev/null, zero, full, random and urandom are there": """
        def handle(req):
            open("/dev/null", "w").write("gone")
            found = {name: len(open("/dev/" + name, "rb").read(4)) for name in ("null", "zero", "random", "urandom")}
            try:
                with open("/dev/full", "wb", buffering=0) as file:
                    file.write(b"x")
            except OSError as error:
                found["full"] = error.strerror
            return {"body": found}
    """,
    "/dev/stdout, /dev/stderr and /dev/fd are the streams": Program(
        """
        def handle(req):
            with open("/dev/stdout", "w") as out, open("/dev/stderr", "w") as err, open("/dev/fd/1", "w") as one:
                for file in (out, err, one):
                    file.write("hello\\n")
                    file.flush()
        """,
        loose="written by descriptor",
    ),
    "/dev/stdin is empty": """
        def handle(req):
            with open("/dev/stdin") as file:
                return {"body": file.read()}
    """,
    "shared memory works": Program(
        """
        from multiprocessing import shared_memory
        def handle(req):
            memory = shared_memory.SharedMemory(create=True, size=16)
            memory.buf[:2] = b"hi"
            other = shared_memory.SharedMemory(memory.name)
            seen = bytes(other.buf[:2])
            other.close(); memory.close(); memory.unlink()
            return {"body": seen}
        """,
    ),
}
