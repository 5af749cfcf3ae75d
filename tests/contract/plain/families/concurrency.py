"""Concurrency: threads, executors, context variables, multiprocessing, asyncio in all of its places."""

from __future__ import annotations

from tests.contract.plain.program import Program

TWICE = ({}, {})

PROGRAMS: dict[str, str | Program] = {
    "what a thread prints comes with its call": Program(
        """
        import threading
        def handle(req):
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start()
            thread.join()
        """,
        fresh=True,
        varies=True,
    ),
    "what an executor's task prints comes with its call": Program(
        """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        def handle(req):
            pool.submit(print, "call", req.body.decode()).result()
        """,
        calls=({"body": "1"}, {"body": "2"}),
    ),
    "an executor's map keeps the order": """
        from concurrent.futures import ThreadPoolExecutor
        def handle(req):
            with ThreadPoolExecutor(4) as pool:
                return {"body": {"squares": list(pool.map(lambda n: n * n, range(5)))}}
    """,
    "an exception in an executor's task comes out where it is asked for": """
        from concurrent.futures import ThreadPoolExecutor, wait
        def handle(req):
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(int, "x")
                wait([asked])
                return asked.result()
    """,
    "a thread made at import works for every call": Program(
        """
        import queue, threading
        asked, answered = queue.Queue(), queue.Queue()
        def work():
            while True:
                answered.put(asked.get() * 2)
        threading.Thread(target=work, daemon=True).start()
        def handle(req):
            asked.put(int(req.body))
            return {"body": str(answered.get(timeout=5))}
        """,
        calls=({"body": "1"}, {"body": "2"}),
        fresh=True,
    ),
    "thread locals, locks, events and barriers work": """
        import threading
        local = threading.local()
        def handle(req):
            barrier, seen, lock = threading.Barrier(3), [], threading.Lock()
            def work(n):
                local.n = n
                barrier.wait(5)
                with lock:
                    seen.append(local.n)
            threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            return {"body": {"seen": sorted(seen), "here": hasattr(local, "n")}}
    """,
    "threads have their names and the main one its own": Program(
        """
        import threading
        def handle(req):
            found = []
            thread = threading.Thread(target=lambda: found.append(threading.current_thread().name), name="helper")
            thread.start(); thread.join()
            main = threading.main_thread() is threading.current_thread()
            return {"body": {"main": threading.main_thread().name, "is": main, "other": found}}
        """,
    ),
    "a timer fires": """
        import threading
        def handle(req):
            fired = threading.Event()
            threading.Timer(0.01, fired.set).start()
            return {"body": str(fired.wait(5))}
    """,
    "threading.excepthook of the program's own is asked": """
        import threading
        threading.excepthook = lambda args: print("hook:", args.exc_type.__name__)
        def handle(req):
            thread = threading.Thread(target=int, args=("x",))
            thread.start(); thread.join()
    """,
    "a class derived from Thread with a run of its own works": """
        import threading
        class Worker(threading.Thread):
            def run(self):
                self.result = "ran"
        def handle(req):
            worker = Worker()
            worker.start(); worker.join()
            return {"body": worker.result}
    """,
    "a context variable of a call is not seen by the next": Program(
        """
        import contextvars
        user = contextvars.ContextVar("user", default="nobody")
        def handle(req):
            before = user.get()
            user.set("Ada")
            return {"body": before}
        """,
        calls=TWICE,
        fresh=True,
    ),
    "a decimal context of a call is not seen by the next": Program(
        """
        import decimal
        def handle(req):
            before = decimal.getcontext().prec
            decimal.getcontext().prec = 5
            return {"body": str(before)}
        """,
        calls=TWICE,
    ),
    "a context variable set at import is seen by calls": """
        import contextvars
        user = contextvars.ContextVar("user", default="nobody")
        user.set("Ada")
        def handle(req):
            return {"body": user.get()}
    """,
    "a thread begins with what plain Python gives it of the context": Program(
        """
        import contextvars, threading
        user = contextvars.ContextVar("user", default="nobody")
        def handle(req):
            user.set("Ada")
            seen = []
            thread = threading.Thread(target=lambda: seen.append(user.get()))
            thread.start(); thread.join()
            return {"body": {"seen": seen}}
        """,
        varies=True,
    ),
    "an executor's task begins with what plain Python gives it of the context": """
        import contextvars
        from concurrent.futures import ThreadPoolExecutor
        user = contextvars.ContextVar("user", default="nobody")
        def handle(req):
            user.set("Ada")
            with ThreadPoolExecutor(1) as pool:
                own = contextvars.copy_context()
                return {"body": {"bare": pool.submit(user.get).result(), "run": pool.submit(own.run, user.get).result()}}
    """,
    "module state lives from call to call": Program(
        """
        count = 0
        def handle(req):
            global count
            count += 1
            return {"body": str(count)}
        """,
        calls=({}, {}, {}),
    ),
    "a client made at import is kept between calls": Program(
        """
        import socket
        one, other = socket.socketpair()
        def handle(req):
            one.sendall(req.body)
            return {"body": other.recv(100)}
        """,
        calls=({"body": "first"}, {"body": "second"}),
    ),
    "a process of the fork method works": Program(
        """
        import multiprocessing
        def work(queue, n):
            queue.put(n * n)
        def handle(req):
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            process = context.Process(target=work, args=(queue, 7))
            process.start()
            result = queue.get(timeout=5)
            process.join()
            return {"body": {"result": result, "code": process.exitcode}}
        """,
        varies=True,
    ),
    "a process of the spawn method works": Program(
        """
        import multiprocessing
        def work(n):
            return n * n
        def handle(req):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return {"body": {"squares": pool.map(work, [1, 2, 3])}}
        """,
        varies=True,
    ),
    "a process of the forkserver method works": Program(
        """
        import multiprocessing
        def work(n):
            return n * n
        def handle(req):
            with multiprocessing.get_context("forkserver").Pool(1) as pool:
                return {"body": {"squares": pool.map(work, [1, 2, 3])}}
        """,
        varies=True,
    ),
    "the start methods are those of Linux": Program(
        """
        import multiprocessing
        def handle(req):
            return {"body": {"all": multiprocessing.get_all_start_methods(), "is": multiprocessing.get_start_method()}}
        """,
    ),
    "a ProcessPoolExecutor works": """
        from concurrent.futures import ProcessPoolExecutor
        def work(n):
            return n * n
        def handle(req):
            with ProcessPoolExecutor(2) as pool:
                return {"body": {"squares": list(pool.map(work, [1, 2, 3]))}}
    """,
    "a process that fails tells its traceback": Program(
        """
        import multiprocessing
        def work():
            return {}["pear"]
        def handle(req):
            with multiprocessing.get_context("fork").Pool(1) as pool:
                return pool.apply(work)
        """,
        varies=True,
    ),
    "an exception in a bare process is told on stderr": Program(
        """
        import multiprocessing
        def work():
            raise ValueError("in the child")
        def handle(req):
            process = multiprocessing.get_context("fork").Process(target=work, name="child")
            process.start(); process.join()
            return {"body": str(process.exitcode)}
        """,
        loose="a child's",
    ),
    "a manager's dictionary is shared": """
        import multiprocessing
        def work(shared):
            shared["child"] = 1
        def handle(req):
            context = multiprocessing.get_context("fork")
            with context.Manager() as manager:
                shared = manager.dict()
                process = context.Process(target=work, args=(shared,))
                process.start(); process.join()
                return {"body": dict(shared)}
    """,
    "values, arrays, locks and pipes are shared": """
        import multiprocessing
        def work(number, array, lock, pipe):
            with lock:
                number.value += 1
                array[0] = 5
            pipe.send("done")
        def handle(req):
            context = multiprocessing.get_context("fork")
            number, array, lock = context.Value("i", 1), context.Array("d", 2), context.Lock()
            here, there = context.Pipe()
            process = context.Process(target=work, args=(number, array, lock, there))
            process.start()
            word = here.recv()
            process.join()
            return {"body": {"number": number.value, "array": list(array), "word": word}}
    """,
    "a thread pool of multiprocessing works": """
        from multiprocessing.pool import ThreadPool
        def handle(req):
            with ThreadPool(2) as pool:
                return {"body": {"lengths": pool.map(len, ["a", "bb"])}}
    """,
    "all threads are the program's own": """
        import threading
        def handle(req):
            return {"body": {"names": [thread.name for thread in threading.enumerate()]}}
    """,
}
