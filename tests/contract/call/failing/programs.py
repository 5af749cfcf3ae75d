"""Ways to fail in a handler: the body of a function each, run in plain Python and in a cell alike.

``# 3.11`` in its first line: only from that version on.
"""

from __future__ import annotations

PRELUDE = """\
import asyncio
import collections
import contextlib
import copy
import decimal
import functools
import json
import linecache
import os
import re
import struct
import sys
import threading
import traceback
import types

import helper
from package import inner


class Own(Exception):
    pass


class Wordy(Exception):
    def __init__(self, sku, count):
        super().__init__(sku, count)
        self.sku = sku

    def __str__(self):
        return "no %s in stock" % self.sku


class Nested:
    class Error(Exception):
        pass


class StrRaises(Exception):
    def __str__(self):
        raise LookupError("no text")


class StrIsNone(Exception):
    def __str__(self):
        return None


class StrExits(Exception):
    def __str__(self):
        raise SystemExit(7)


class ReprRaises(Exception):
    def __repr__(self):
        raise LookupError("no repr")


class Base(BaseException):
    pass


class Lies(Exception):
    __module__ = 7


class LiesOfItsName(type):
    @property
    def __name__(cls):
        raise LookupError("nameless")

    @property
    def __module__(cls):
        raise LookupError("homeless")


class Masked(Exception):
    @property
    def __class__(self):
        raise LookupError("classless")


class Traceless(Exception):
    __traceback__ = property(lambda self: 1 / 0)


class Causeless(Exception):
    __cause__ = property(lambda self: 1 / 0)
    __context__ = property(lambda self: 1 / 0)


class Text(str):
    def __getitem__(self, key):
        raise LookupError("uncut")

    def encode(self, *arguments):
        raise LookupError("unencoded")


class StrIsOdd(Exception):
    def __str__(self):
        return Text("odd")


class Errno(OSError):
    errno = property(lambda self: 1 / 0)


class Line(SyntaxError):
    lineno = property(lambda self: 1 / 0)


class Unreadable:
    def __repr__(self):
        raise LookupError("unreadable")

    __str__ = __repr__

    def __eq__(self, other):
        raise LookupError("incomparable")

    __hash__ = None

    def __bool__(self):
        raise LookupError("undecided")

    def __len__(self):
        raise LookupError("unmeasured")

    def __iter__(self):
        raise LookupError("unordered")

    def __getattr__(self, name):
        raise LookupError("without " + name)


def deep(depth):
    if depth:
        return deep(depth - 1)
    return [][0]


def recursive(n=0):
    return recursive(n + 1) + 1


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper


@decorated
def behind(value):
    return 1 / value


def generate():
    yield 1
    raise Own("in a generator")


@contextlib.contextmanager
def managed():
    try:
        yield
    finally:
        raise Own("on the way out")
"""

HELPER = """\
def fails(value):
    return {"a": 1}[value]


def calls(function):
    return function()


class Thing:
    @property
    def broken(self):
        raise AttributeError("a property")
"""
INNER = """\
from . import sibling


def fails():
    return sibling.fails()
"""
SIBLING = """\
def fails():
    raise RuntimeError("from a package")
"""
LATIN = """\
# coding: latin-1
def fails():
    raise ValueError("caf\u00e9")
"""
FILES = (
    ("latin.py", LATIN),
    ("helper.py", HELPER), ("package/__init__.py", ""), ("package/inner.py", INNER),
    ("package/sibling.py", SIBLING),
)  # fmt: skip

SYNC = {
    # ---- ordinary ones -------------------------------------------------------------------------
    "zero": "return 1 / 0",
    "key": "return {}['sku']",
    "key_of_two": "return {('a', 1): 2}['a', 2]",
    "index": "return [1, 2][2]",
    "attribute": "return None.sku",
    "attribute_near": "return json.dmps({})",
    "name": "return undefined_name",
    "name_near": "return deeep(3)",
    "unbound": "print(late)\nlate = 1",
    "type": "return 1 + 'a'",
    "type_of_call": "return deep()",
    "type_of_keyword": "return deep(depth=1, width=2)",
    "value": "return int('x1')",
    "unpack": "a, b = 1, 2, 3",
    "unicode_decode": "return b'\\xff'.decode()",
    "unicode_encode": "return '\\ud800'.encode()",
    "overflow": "return 2.0 ** 10000",
    "decimal": "return decimal.Decimal('x')",
    "struct": "return struct.unpack('i', b'')",
    "regex": "return re.compile('(')",
    "assertion": "assert 1 == 2, 'they differ'",
    "assertion_bare": "assert not req",
    "file": "open('/no/such/file')",
    "os_error": "raise OSError(5, 'Input/output error', 'disk')",
    "errno_only": "raise OSError(28, 'No space left on device')",
    "not_implemented": "raise NotImplementedError",
    "import": "import no_such_module",
    "import_name": "from json import no_such_name",
    "eof": "input()",
    "memory_view": "return memoryview(b'a')[3]",
    "own": "raise Own('first\\nsecond \\x1b[31m é')",
    "own_empty": "raise Own",
    "own_of_two": "raise Wordy('lamp', 3)",
    "own_nested": "raise Nested.Error('inside')",
    "not_an_exception": "raise 'text'",
    "not_an_exception_class": "raise dict",
    "long": "raise Own('x' * 20_000)",
    "many_lines": "raise Own('\\n'.join(map(str, range(300))))",
    "surrogate": "raise Own('lone \\udc80')",
    "nul": "raise Own('a\\0b')",
    "terminal": "raise Own('\\x1b]0;title\\x07')",
    "long_line": "raise Own('short')  # " + "y" * 17_000,
    "tab": "if req:\n\t\traise Own('behind\ttabs')",
    "wide": "wert = 'ä€\U0001f600'; return wert + 1",
    "in_many_lines": "return deep(\n    depth=[\n        1,\n        2,\n    ][5],\n)",
    "in_an_operand": "return deep(0) + 1 if req else (\n    2 / 0)",
    # ---- where ---------------------------------------------------------------------------------
    "deep": "return deep(5)",
    "in_a_helper": "return helper.fails('b')",
    "called_back": "return helper.calls(lambda: 1 / 0)",
    "in_a_property": "return helper.Thing().broken",
    "in_a_package": "return inner.fails()",
    "in_another_encoding": "import latin\nreturn latin.fails()",
    "in_a_library": "return json.loads('{not json')",
    "called_back_by_a_library": "return json.dumps({'a': object}, default=lambda value: 1 / 0)",
    "in_a_comprehension": "return [1 / n for n in (1, 0)]",
    "in_a_lambda": "return (lambda n: 1 / n)(0)",
    "in_a_generator": "return list(generate())",
    "in_a_sort": "return sorted([3, 1], key=lambda n: 1 / 0)",
    "in_a_map": "return list(map(int, ['1', 'x']))",
    "in_a_class": "class Broken:\n    x = 1 / 0",
    "in_a_decorator": "return behind(0)",
    "in_partial": "return functools.partial(deep, 2)()",
    "in_a_context": "with managed():\n    pass",
    "in_exec": "exec(\"x = 1\\nraise KeyError('k')\")",
    "in_eval": "return eval('1 / 0')",
    "in_named_code": "exec(compile('def f():\\n    return 1 / 0\\nf()', 'template.txt', 'exec'))",
    "in_code_of_linecache": (
        "text = 'x = 1\\nx / 0\\n'\n"
        "linecache.cache['<shop>'] = (len(text), None, text.splitlines(True), '<shop>')\n"
        "exec(compile(text, '<shop>', 'exec'))"
    ),
    "in_code_with_no_lines": "exec(compile('1 / 0', 'nowhere.py', 'exec'))",
    "in_a_reduce": "return functools.reduce(lambda a, b: a / b, [1, 0])",
    "in_dunder": "class A:\n    def __add__(self, other):\n        raise Own('added')\nreturn A() + 1",
    "in_new_class": "class A:\n    def __init_subclass__(cls):\n        raise Own('sub')\nclass B(A):\n    pass",
    "in_set_name": "class A:\n    def __set_name__(self, owner, name):\n        raise Own('named')\n"
    "class B:\n    x = A()",
    "in_a_namedtuple": "return collections.namedtuple('P', 'a b')(1)",
    "in_copy": "class A:\n    def __deepcopy__(self, memo):\n        raise Own('copied')\nreturn copy.deepcopy([A()])",
    # ---- syntax --------------------------------------------------------------------------------
    "syntax": "compile('a = (', 'template.py', 'exec')",
    "syntax_in_exec": "exec('if True\\n    pass')",
    "syntax_by_hand": "raise SyntaxError('bad', ('f.py', 3, 5, 'a b c'))",
    "syntax_that_lies": "raise SyntaxError('lies', ('f', 'seven', 1, 3))",
    "syntax_without": "raise SyntaxError",
    "syntax_of_a_property": "raise Line('odd')",
    "syntax_of_indentation": "compile('  a', 'x.py', 'exec')",
    # ---- chains --------------------------------------------------------------------------------
    "from": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise Own('after') from error",
    "from_none": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise Own('after') from None",
    "during": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    return {}['sku']",
    "during_twice": (
        "try:\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        {}['sku']\n"
        "except KeyError as error:\n    raise Own('third') from error"
    ),
    "from_never_raised": "raise Own('after') from ValueError('never raised')",
    "in_finally": "try:\n    1 / 0\nfinally:\n    [][0]",
    "again": "try:\n    deep(2)\nexcept IndexError:\n    raise",
    "again_by_name": "try:\n    deep(1)\nexcept IndexError as error:\n    raise error",
    "from_a_chain": "try:\n    raise Own('a') from KeyError('b')\nexcept Own as error:\n    raise Own('c') from error",
    "cycle": ("a, b = Own('a'), Own('b')\na.__cause__, b.__cause__ = b, a\nraise a"),
    "own_cause": "error = Own('mine')\nerror.__cause__ = error\nraise error",
    "with_traceback": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise Own('x').with_traceback(error.__traceback__)",
    "group": "# 3.11\nraise ExceptionGroup('several', [ValueError(1), Own('two')])",
    "group_of_raised": (
        "# 3.11\nfound = []\nfor n in (0, 'x'):\n    try:\n        1 / n\n"
        "    except Exception as error:\n        found.append(error)\n"
        "raise ExceptionGroup('several', found)"
    ),
    "group_of_groups": "# 3.11\nraise BaseExceptionGroup('outer', [ExceptionGroup('inner', [Own(1)]), Base('b')])",
    "group_from": "# 3.11\nraise ExceptionGroup('g', [Own('a')]) from Own('b')",
    "note": "# 3.11\nerror = Own('noted')\nerror.add_note('look at\\nthe shelf')\nraise error",
    "notes_that_are_none": "# 3.11\nerror = Own('noted')\nerror.__notes__ = 7\nraise error",
    "notes_of_others": "# 3.11\nerror = Own('noted')\nerror.__notes__ = [1, None]\nraise error",
    # ---- no Exception --------------------------------------------------------------------------
    "stop_iteration": "next(iter([]))",
    "stop_iteration_by_hand": "raise StopIteration(3)",
    "stop_async_iteration": "raise StopAsyncIteration",
    "generator_exit": "raise GeneratorExit('out')",
    "keyboard_interrupt": "raise KeyboardInterrupt",
    "base": "raise Base('bare')",
    "cancelled_of_concurrent": "import concurrent.futures\nraise concurrent.futures.CancelledError('x')",
    "timeout": "raise TimeoutError('slow')",
    "generator_stop": "def g():\n    yield next(iter([]))\nlist(g())",
    # ---- recursion -----------------------------------------------------------------------------
    "json_of_itself": "d = {}\nd['d'] = d\njson.dumps(d)",
    "json_of_itself_unchecked": "d = {}\nd['d'] = d\njson.dumps(d, check_circular=False)",
    # ---- hostile -------------------------------------------------------------------------------
    "str_raises": "raise StrRaises",
    "str_is_none": "raise StrIsNone",
    "repr_raises": "raise ReprRaises('x')",
    "str_is_odd": "raise StrIsOdd",
    "str_of_arguments": "raise Own(Unreadable())",
    "key_unreadable": "raise KeyError(Unreadable())",
    "module_is_seven": "raise Lies('x')",
    "traceback_raises": "raise Traceless('x')",
    "cause_raises": "raise Causeless('x')",
    "errno_raises": "raise Errno('x')",
    "metaclass": "raise LiesOfItsName('Named', (Exception,), {})('x')",
    "empty_name": "raise type('', (Exception,), {})('x')",
    "long_name": "raise type('N' * 1000, (Exception,), {})('x')",
    "odd_file": "exec(compile('1 / 0', 'a\\nb', 'exec'))",
    # ---- the interpreter's own ways, changed ---------------------------------------------------
    "limit_of_traceback": "sys.tracebacklimit = 1\ntry:\n    deep(3)\nfinally:\n    RESET.append('limit')",
    "hook": "sys.excepthook = lambda kind, error, trace: sys.stderr.write('hooked: %s\\n' % error)\nraise Own('x')",
    "hook_of_traceback": (
        "sys.excepthook = lambda kind, error, trace: "
        "sys.stderr.write(''.join(traceback.format_exception(kind, error, trace)))\n"
        "raise Own('x')"
    ),
    "dunder_hook": "sys.__excepthook__, hook = None, sys.__excepthook__\nRESET.append(hook)\nraise Own('x')",
    "traceback_module_replaced": "sys.modules['traceback'] = types.ModuleType('traceback')\nraise Own('x')",
    "linecache_replaced": "linecache.getline = lambda *_: 1 / 0\nraise Own('x')",
}

# A task of plain Python that raises this never ends.
ONLY_SYNC = {"class_raises": "raise Masked('x')"}
ASYNC = {
    "await": "await asyncio.sleep(0)\nreturn 1 / 0",
    "await_none": "await None",
    "stop_iteration_after": "await asyncio.sleep(0)\nnext(iter([]))",
    "stop_iteration_nested": "async def f():\n    next(iter([]))\nawait f()",
    "task": "async def f():\n    return 1 / 0\nawait asyncio.create_task(f())",
    "gather": "async def f(n):\n    return 1 / n\nawait asyncio.gather(f(1), f(0))",
    "wait_for": "await asyncio.wait_for(asyncio.sleep(9), 0.01)",
    "to_thread": "loop = asyncio.get_running_loop()\nawait loop.run_in_executor(None, deep, 2)",
    "group_of_tasks": (
        "# 3.11\nasync def f():\n    raise Own('in a task')\n"
        "async with asyncio.TaskGroup() as group:\n    group.create_task(f())"
    ),
    "async_generator": "async def g():\n    yield 1\n    raise Own('x')\nasync for _ in g():\n    pass",
    "async_stop": "async def g():\n    yield 1\n    raise StopAsyncIteration\nasync for _ in g():\n    pass",
    "async_with": "async with contextlib.AsyncExitStack() as stack:\n    stack.push_async_callback(asyncio.sleep, 'x')",
    "run_in_a_loop": "coroutine = asyncio.sleep(0)\ntry:\n    asyncio.run(coroutine)\nfinally:\n    coroutine.close()",
    "future": "future = asyncio.get_running_loop().create_future()\nfuture.set_exception(Own('set'))\nawait future",
}

# What each says beside its traceback is compared as it stands; of these the number of lines left out differs,
# for the stack below a handler is not the same one.
RECURSIVE = {
    "recursion": "recursive()",
    "recursion_in_repr": "a = []\nfor _ in range(100_000):\n    a = [a]\nrepr(a)",
    "recursion_in_a_handler": (
        "def f(n):\n    try:\n        return f(n + 1)\n    except RecursionError:\n        raise Own('deep') from None\nf(0)"
    ),
}
# Where Python itself is wrong about its hook it says so, and then shows both.
HOOKS = {
    "hook_raises": (
        "def hook(kind, error, trace):\n    raise LookupError('no hook')\nsys.excepthook = hook\nraise Own('x')"
    ),
    "hook_is_none": "sys.excepthook = None\nraise Own('x')",
    "hook_exits": "sys.excepthook = lambda *_: sys.exit(3)\nraise Own('x')",
}
# Python says nothing of it but its code, or its text: a 500 has its traceback in the log.
EXITS = {
    "exit": "sys.exit()",
    "exit_text": "sys.exit('only POST')",
    "exit_number": "exit_code = 3\nraise SystemExit(exit_code)",
    "exit_of_a_str": "raise StrExits",
}
EXITS_OF_TASKS = {
    "exit_of_a_task": "async def f():\n    sys.exit(3)\nawait asyncio.create_task(f())",
    "interrupt_of_a_task": "async def f():\n    raise KeyboardInterrupt\nawait asyncio.gather(f())",
    "stopped_loop": "asyncio.get_running_loop().stop()\nawait asyncio.sleep(0.01)\nreturn 1 / 0",
}

# In the module itself: its source, and files beside it.
IMPORTS: dict[str, tuple[str, dict[str, str]]] = {
    "zero": ("x = 1\n\ny = x / 0\n", {}),
    "exit": ("import sys\nsys.exit('bye')\n", {}),
    "exit_of_nothing": ("raise SystemExit\n", {}),
    "interrupt": ("raise KeyboardInterrupt\n", {}),
    "base": ("class Base(BaseException):\n    pass\n\n\nraise Base('bare')\n", {}),
    "stop": ("next(iter([]))\n", {}),
    "chain": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError('sku') from error\n",
        {},
    ),
    "nested": (
        "import helper\n",
        {"helper": "import further\n", "further": "def f():\n    return [][0]\nf()\n"},
    ),
    "nested_syntax": ("import helper\n", {"helper": "a = (\n"}),
    "nested_import": ("from helper import x\n", {"helper": "import no_such_module\n"}),
    "nested_name": ("from helper import y\n", {"helper": "x = 1\n"}),
    "circle": (
        "import helper\n",
        {"helper": "from other import b\n", "other": "from helper import a\nb = 1\n"},
    ),
    "nested_exit": ("import helper\n", {"helper": "import sys\nsys.exit(4)\n"}),
    "nested_encoding": ("import helper\n", {"helper": "# coding: no-such\n"}),
    "in_a_decorator": ("def d(f):\n    raise RuntimeError('d')\n\n\n@d\ndef f(): ...\n", {}),
    "in_a_class": ("class A:\n    x = {}['y']\n", {}),
    "in_a_library": ("import json\njson.loads('{')\n", {}),
    "in_a_loop": ("import asyncio\n\n\nasync def f():\n    return 1 / 0\n\n\nasyncio.run(f())\n", {}),
    "str_raises": ("class E(Exception):\n    def __str__(self):\n        return 1 / 0\n\n\nraise E\n", {}),
    "hook": ("import sys\nsys.excepthook = lambda *a: sys.stderr.write('hooked\\n')\n1 / 0\n", {}),
}
HANDLE = "\n\ndef handle(req):\n    return {}\n"

# What ends well and says much: nothing in here fails its call.
LOUD = {
    "del": "class A:\n    def __del__(self):\n        return 1 / 0\nA()",
    "del_at_the_end": "class A:\n    def __del__(self):\n        return 1 / 0\na = A()\nreturn {'body': a}",
    "thread": "thread = threading.Thread(target=deep, args=(1,))\nthread.start()\nthread.join()",
    "thread_exits": "thread = threading.Thread(target=sys.exit, args=('x',))\nthread.start()\nthread.join()",
    "thread_hook": "old = threading.excepthook\nthreading.excepthook = lambda a: print(a)\n"
    "thread = threading.Thread(target=deep, args=(1,))\nthread.start()\nthread.join()\nthreading.excepthook = old",
    "unraisable_hook": "class A:\n    def __del__(self):\n        return 1 / 0\n"
    "old = sys.unraisablehook\nsys.unraisablehook = print\nA()\nsys.unraisablehook = old",
    "low_thread": "import _thread, time\n_thread.start_new_thread(deep, (1,))\ntime.sleep(0.05)",
    "never_awaited": "async def f():\n    return 1\nf()",
    "warns_of_its_caller": "import warnings\nwarnings.warn('careful', stacklevel=3)",
    "warns_its_logger": "import logging, warnings\nlogging.captureWarnings(True)\n"
    "warnings.warn('careful', stacklevel=3)\nlogging.captureWarnings(False)",
    "caught": "try:\n    deep(3)\nexcept IndexError:\n    traceback.print_exc()",
    "logged": "import logging\ntry:\n    deep(3)\nexcept IndexError:\n    logging.exception('caught')",
    "dumped": "import faulthandler\nfaulthandler.dump_traceback()",
    "dumped_of_all": "import faulthandler\nfaulthandler.dump_traceback(all_threads=True, file=2)",
    "formatted": "try:\n    deep(1)\nexcept IndexError:\n    return {'body': traceback.format_exc()}",
    "secrets": "from function import secrets\ntry:\n    secrets.get([])\nexcept TypeError as error:\n    return {'body': str(error)}",
    "wrong_keyword": "from function import secrets\ntry:\n    secrets.get(nme='x')\nexcept TypeError as error:\n    return {'body': str(error)}",
}
# What takes the process with it.
ENDS = {
    "exits": "os._exit(3)",
    "exits_with_nothing": "os._exit(0)",
    "aborts": "os.abort()",
    "segfaults": "import ctypes\nctypes.string_at(0)",
    "segfaults_with_a_handler": "import ctypes, faulthandler\nfaulthandler.enable()\nctypes.string_at(0)",
    "is_terminated": "os.kill(os.getpid(), 15)",
    "exits_in_a_thread": "threading.Thread(target=os._exit, args=(9,)).start()\nimport time\ntime.sleep(5)",
    "overflows": "sys.setrecursionlimit(10 ** 7)\nrecursive()",
    "in_a_signal_handler": (
        "import signal, time\n"
        "def late(*_):\n    raise Own('between two calls')\n"
        "signal.signal(signal.SIGALRM, late)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\nreturn {}"
    ),
}


def is_for(body: str, version: tuple[int, int]) -> bool:
    """Whether this version has what it needs."""
    first = body.partition("\n")[0]
    if not first.startswith("# 3."):
        return True
    return version >= tuple(map(int, first.removeprefix("# ").split(".")))


def source_of(programs: dict[str, str], is_async: bool) -> str:
    """``handler.py`` with all of them, each called by the path of its request."""
    parts = [PRELUDE, "RESET = []\n"]
    word = "async def" if is_async else "def"
    for name, body in programs.items():
        lines = "".join(f"    {line}\n" for line in body.split("\n"))
        parts.append(f"\n\n{word} p_{name}(req):\n{lines}")
    # What one has changed the next does not see.
    parts.append(f"""

HOOK, TRACEBACK, GETLINE = sys.excepthook, traceback, linecache.getline


{word} handle(req):
    sys.excepthook = HOOK
    sys.modules["traceback"] = TRACEBACK
    linecache.getline = GETLINE
    for was in RESET:
        if was == "limit":
            del sys.tracebacklimit
        else:
            sys.__excepthook__ = was
    RESET.clear()
    return {"await " if is_async else ""}globals()["p_" + req.path[1:]](req)
""")
    return "".join(parts)
