"""asyncio in all of its places: at import, in a call, beside it."""

from __future__ import annotations

from tests.contract.plain.program import Differs, Program

TASK_OF_OURS = {"status": 200, "type": "text/plain; charset=utf-8", "body": "_call"}

TWICE = ({}, {})

PROGRAMS: dict[str, str | Program] = {
    "asyncio.to_thread takes the context along": Program(
        """
        import asyncio, contextvars
        user = contextvars.ContextVar("user", default="nobody")
        async def handle(req):
            user.set("Ada")
            return {"body": await asyncio.to_thread(user.get)}
        """,
        varies=True,
    ),
    "run_in_executor prints with the call": """
        import asyncio
        async def handle(req):
            await asyncio.get_running_loop().run_in_executor(None, print, "from the executor")
    """,
    "asyncio.run in a plain handler works": Program(
        """
        import asyncio
        async def work():
            await asyncio.sleep(0)
            return "done"
        def handle(req):
            return {"body": asyncio.run(work())}
        """,
        only="sync",
        calls=TWICE,
        varies=True,
    ),
    "asyncio.run in an async handler is refused": Program(
        """
        import asyncio
        async def work(): pass
        async def handle(req):
            coroutine = work()
            try:
                asyncio.run(coroutine)
            except RuntimeError as error:
                coroutine.close()
                return {"body": str(error)}
        """,
    ),
    "a loop of one's own in a plain handler works": Program(
        """
        import asyncio
        loop = asyncio.new_event_loop()
        async def work():
            await asyncio.sleep(0)
            return "done"
        def handle(req):
            return {"body": loop.run_until_complete(work())}
        """,
        only="sync",
        calls=TWICE,
    ),
    "a lock, a queue and an event made at import serve all calls": Program(
        """
        import asyncio
        lock, queue, event = asyncio.Lock(), asyncio.Queue(), asyncio.Event()
        async def handle(req):
            async with lock:
                await queue.put(req.body)
                event.set()
                await event.wait()
                return {"body": await queue.get()}
        """,
        calls=({"body": "a"}, {"body": "b"}),
        varies=True,
    ),
    "the loop of the import is the one that serves": Program(
        """
        import asyncio, warnings
        warnings.simplefilter("ignore")
        LOOP = asyncio.get_event_loop()
        async def handle(req):
            return {"body": str(asyncio.get_running_loop() is LOOP)}
        """,
        calls=TWICE,
        varies=True,
    ),
    "a task made on the loop of the import runs with the first call": Program(
        """
        import asyncio
        loop = asyncio.get_event_loop_policy().get_event_loop()
        async def work():
            return "made at import"
        TASK = loop.create_task(work())
        async def handle(req):
            return {"body": await TASK}
        """,
        varies=True,
    ),
    "gather, wait_for, timeouts and shields work": Program(
        """
        import asyncio
        async def handle(req):
            both = await asyncio.gather(asyncio.sleep(0, "a"), asyncio.sleep(0, "b"))
            try:
                await asyncio.wait_for(asyncio.sleep(60), 0.01)
            except asyncio.TimeoutError as error:
                both.append(type(error).__name__)
            return {"body": {"both": both, "shield": await asyncio.shield(asyncio.sleep(0, "c"))}}
        """,
    ),
    "a cancelled task that is awaited raises": """
        import asyncio
        async def handle(req):
            task = asyncio.create_task(asyncio.sleep(60))
            task.cancel()
            await task
    """,
    "a cancelled task that is caught is done with": """
        import asyncio
        async def handle(req):
            task = asyncio.create_task(asyncio.sleep(60))
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return {"body": str(task.cancelled())}
    """,
    "a background task goes on after its call": Program(
        """
        import asyncio
        done = []
        async def work():
            await asyncio.sleep(0)
            done.append(1)
        async def handle(req):
            if not req.body:
                asyncio.create_task(work())
                return {"body": str(len(done))}
            await asyncio.sleep(0.01)
            return {"body": str(len(done))}
        """,
        calls=({}, {"body": "later"}),
    ),
    "an exception in a task that nobody awaits is told": Program(
        """
        import asyncio, gc
        async def work():
            raise ValueError("nobody awaits me")
        async def handle(req):
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            del task
            gc.collect()
        """,
        varies=True,
    ),
    "a coroutine that is never awaited is warned of": Program(
        """
        import gc
        async def work(): pass
        async def handle(req):
            work()
            gc.collect()
        """,
        varies=True,
    ),
    "an async generator and an async context manager work": """
        import contextlib
        @contextlib.asynccontextmanager
        async def opened():
            yield "open"
        async def numbers():
            for n in range(3):
                yield n
        async def handle(req):
            async with opened() as word:
                return {"body": {"word": word, "numbers": [n async for n in numbers()]}}
    """,
    "an asyncio subprocess works": Program(
        """
        import asyncio
        async def handle(req):
            process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            return {"body": {"out": out.decode(), "code": process.returncode}}
        """,
        varies=True,
    ),
    "streams over a socket pair work": """
        import asyncio, socket
        async def handle(req):
            one, other = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=one)
            _, writer2 = await asyncio.open_connection(sock=other)
            writer2.write(b"hello\\n")
            line = await reader.readline()
            writer.close()
            writer2.close()
            return {"body": line}
    """,
    "the current task awaits the handler": Program(
        """
        import asyncio
        async def handle(req):
            return {"body": asyncio.current_task().get_coro().__name__}
        """,
        differs=Differs("tasks", answers=(TASK_OF_OURS,)),
    ),
    "a signal handler of the loop is called": """
        import asyncio, os, signal
        async def handle(req):
            seen = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, seen.set)
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(seen.wait(), 5)
            return {"body": "seen"}
    """,
    "all tasks are the program's own": Program(
        """
        import asyncio
        async def handle(req):
            task = asyncio.create_task(asyncio.sleep(0))
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others)
            return {"body": str(len(others))}
        """,
        options={"timeout": 10},
    ),
    "an exception handler of the loop's is asked": """
        import asyncio, gc
        async def work():
            raise ValueError("nobody awaits me")
        async def handle(req):
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: print("handler:", context["message"]))
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            del task
            gc.collect()
    """,
    "an async generator as a loop's iterator is closed": """
        import asyncio
        async def numbers():
            try:
                yield 1
            finally:
                print("closed")
        async def handle(req):
            async for n in numbers():
                break
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return {"body": str(n)}
    """,
}
