"""Logging: the standard library's in every way it is set up, others', warnings, print."""

from __future__ import annotations

from tests.contract.plain.program import Differs, Program

PROGRAMS: dict[str, str | Program] = {
    "basicConfig with a level at import shows what is at that level": """
        import logging
        logging.basicConfig(level=logging.INFO)
        log = logging.getLogger("shop")
        def handle(req):
            log.debug("hidden")
            log.info("shown")
            log.error("shown too")
    """,
    "basicConfig at import after a first log line is kept": """
        import logging
        logging.basicConfig(level=logging.DEBUG)
        logging.debug("at import")
        def handle(req):
            logging.debug("in the call")
    """,
    "basicConfig with a format is that format": """
        import logging
        logging.basicConfig(level=logging.INFO, format="%(levelname)s|%(name)s|%(funcName)s|%(message)s")
        def handle(req):
            logging.getLogger("shop").info("sold %d of %s", 3, "pears")
    """,
    "basicConfig with the brace style is that format": """
        import logging
        logging.basicConfig(level="INFO", format="{levelname}:{message}", style="{")
        def handle(req):
            logging.info("braces")
    """,
    "basicConfig with a date format writes such dates": """
        import logging, time
        logging.Formatter.converter = time.gmtime
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
        def handle(req):
            logging.warning("dated")
    """,
    "basicConfig a second time changes nothing": """
        import logging
        logging.basicConfig(format="first %(message)s")
        logging.basicConfig(format="second %(message)s", level=logging.DEBUG)
        def handle(req):
            logging.warning("whose?")
            logging.debug("hidden")
    """,
    "basicConfig with force replaces what was there": """
        import logging
        logging.basicConfig(format="first %(message)s")
        logging.basicConfig(format="second %(message)s", force=True)
        def handle(req):
            logging.warning("whose?")
    """,
    "basicConfig in the handler works on the first call and is kept": Program(
        """
        import logging
        def handle(req):
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
            logging.info("call")
            return {"body": str(len(logging.getLogger().handlers))}
        """,
        calls=({}, {}),
    ),
    "basicConfig with a stream on stdout writes there": """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, level=logging.INFO)
        def handle(req):
            logging.info("to stdout")
            print("beside it")
    """,
    "basicConfig with handlers uses them and no other": """
        import logging
        class Kept(logging.Handler):
            def emit(self, record):
                kept.append(self.format(record))
        kept = []
        logging.basicConfig(level=logging.INFO, handlers=[Kept()])
        def handle(req):
            logging.info("kept")
            return {"body": {"kept": kept}}
    """,
    "basicConfig with a file writes there and nowhere else": """
        import logging, tempfile, os
        path = os.path.join(tempfile.gettempdir(), "shop.log")
        logging.basicConfig(filename=path, level=logging.INFO)
        def handle(req):
            logging.info("in the file")
            with open(path) as file:
                return {"body": file.read()}
    """,
    "a module that logs nothing has no handler on the root": """
        import logging
        def handle(req):
            return {"body": {"handlers": len(logging.root.handlers), "level": logging.root.level}}
    """,
    "without any set-up a warning shows as its bare message": """
        import logging
        def handle(req):
            logging.getLogger("shop").warning("low on %s", "pears")
    """,
    "without any set-up logging.warning sets up the root as basicConfig does": """
        import logging
        def handle(req):
            logging.warning("low on %s", "pears")
            logging.getLogger("shop").error("none left")
    """,
    "without any set-up an info is hidden": """
        import logging
        def handle(req):
            logging.getLogger("shop").info("hidden")
    """,
    "a logger whose level was set shows that level without any set-up": Program(
        """
        import logging
        log = logging.getLogger("my_logger")
        log.setLevel(logging.INFO)
        def handle(req):
            log.error("ERROR")
            log.info("INFO")
            log.debug("DEBUG")
        """,
        differs=Differs("levels without handlers", stderr="ERROR\nINFO"),
    ),
    "a StreamHandler of one's own writes each record once": """
        import logging
        log = logging.getLogger("shop")
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)
        def handle(req):
            log.info("once")
    """,
    "a handler on a logger and one on the root write each record twice": """
        import logging
        logging.basicConfig(level=logging.INFO, format="root %(message)s")
        log = logging.getLogger("shop")
        log.addHandler(logging.StreamHandler())
        def handle(req):
            log.info("twice")
    """,
    "a logger that does not propagate writes to its own handlers only": """
        import logging
        logging.basicConfig(level=logging.INFO)
        log = logging.getLogger("shop")
        log.addHandler(logging.StreamHandler())
        log.propagate = False
        def handle(req):
            log.info("once")
    """,
    "a NullHandler keeps everything back": """
        import logging
        log = logging.getLogger("library")
        log.addHandler(logging.NullHandler())
        def handle(req):
            log.error("hidden")
    """,
    "a handler's own level is kept": """
        import logging, sys
        log = logging.getLogger("shop")
        log.setLevel(logging.DEBUG)
        for level, stream in ((logging.DEBUG, sys.stdout), (logging.ERROR, sys.stderr)):
            handler = logging.StreamHandler(stream)
            handler.setLevel(level)
            log.addHandler(handler)
        def handle(req):
            log.debug("one")
            log.error("two")
    """,
    "filters of a logger and of a handler are asked": """
        import logging
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        logging.root.handlers[0].addFilter(lambda record: "secret" not in record.getMessage())
        log = logging.getLogger("shop")
        log.addFilter(lambda record: record.levelno != logging.WARNING)
        def handle(req):
            log.info("the secret is 7")
            log.warning("dropped")
            log.error("passes")
    """,
    "logging.disable hides all up to its level": """
        import logging
        logging.basicConfig(level=logging.DEBUG)
        def handle(req):
            logging.disable(logging.INFO)
            logging.info("hidden")
            logging.warning("shown")
    """,
    "levels of one's own have their names": """
        import logging
        logging.addLevelName(25, "NOTICE")
        logging.basicConfig(level=logging.INFO)
        def handle(req):
            logging.log(25, "a notice")
    """,
    "dictConfig does what it says": """
        import logging.config
        logging.config.dictConfig({
            "version": 1,
            "formatters": {"short": {"format": "%(levelname).1s %(name)s %(message)s"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "short"}},
            "loggers": {"shop": {"level": "DEBUG", "handlers": ["out"], "propagate": False}},
        })
        def handle(req):
            logging.getLogger("shop").debug("shown")
            logging.getLogger("other").info("hidden")
    """,
    "dictConfig with ext://sys.stdout writes there": """
        import logging.config
        logging.config.dictConfig({
            "version": 1,
            "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
            "root": {"level": "INFO", "handlers": ["out"]},
        })
        def handle(req):
            logging.info("to stdout")
    """,
    "dictConfig disables the loggers that were there before": """
        import logging.config
        log = logging.getLogger("early")
        logging.config.dictConfig({"version": 1})
        def handle(req):
            log.error("hidden")
            return {"body": str(log.disabled)}
    """,
    "fileConfig reads a file of the bundle": """
        import logging.config
        logging.config.fileConfig("logging.ini")
        def handle(req):
            logging.getLogger("shop").info("from the ini file")
        --- logging.ini
        [loggers]
        keys=root
        [handlers]
        keys=err
        [formatters]
        keys=one
        [logger_root]
        level=INFO
        handlers=err
        [handler_err]
        class=StreamHandler
        formatter=one
        args=()
        [formatter_one]
        format=ini %(message)s
    """,
    "a LoggerAdapter adds what it has": """
        import logging
        logging.basicConfig(format="%(message)s for %(customer)s", level=logging.INFO)
        def handle(req):
            logging.LoggerAdapter(logging.getLogger("shop"), {"customer": "Ada"}).info("sold")
    """,
    "logging.exception writes the traceback with it": Program(
        """
        import logging
        logging.basicConfig()
        def handle(req):
            try:
                {}["pears"]
            except KeyError:
                logging.exception("no such fruit")
        """,
        varies=True,
    ),
    "a record with a stack shows the program's lines": Program(
        """
        import logging
        logging.basicConfig(format="%(message)s")
        def deep():
            logging.warning("from here", stack_info=True)
        def handle(req):
            deep()
        """,
        varies=True,
    ),
    "a mistake in a log line is told on stderr and stops nothing": Program(
        """
        import logging
        logging.basicConfig(level=logging.INFO)
        def handle(req):
            logging.info("%d pears", "no")
            return {"body": "went on"}
        """,
        varies=True,
    ),
    "a record of many lines keeps them": """
        import logging
        logging.basicConfig()
        def handle(req):
            logging.warning("one\\ntwo\\n  three")
    """,
    "setLogRecordFactory is used": """
        import logging
        made = logging.getLogRecordFactory()
        def make(*args, **kwargs):
            record = made(*args, **kwargs)
            record.shop = "north"
            return record
        logging.setLogRecordFactory(make)
        logging.basicConfig(format="%(shop)s: %(message)s")
        def handle(req):
            logging.warning("open")
    """,
    "a MemoryHandler writes when it is flushed": """
        import logging, logging.handlers
        target = logging.StreamHandler()
        log = logging.getLogger("shop")
        log.addHandler(logging.handlers.MemoryHandler(10, logging.ERROR, target))
        log.setLevel(logging.INFO)
        def handle(req):
            log.info("first")
            log.error("second")
    """,
    "a QueueListener writes from its thread": Program(
        """
        import logging, logging.handlers, queue
        def handle(req):
            waiting = queue.Queue()
            listener = logging.handlers.QueueListener(waiting, logging.StreamHandler())
            log = logging.getLogger("shop")
            log.addHandler(logging.handlers.QueueHandler(waiting))
            listener.start()
            log.error("through a queue")
            listener.stop()
        """,
    ),
    "FileHandlers on /dev/stdout and /dev/stderr write there": Program(
        """
        import logging
        log = logging.getLogger("shop")
        for path in ("/dev/stdout", "/dev/stderr"):
            log.addHandler(logging.FileHandler(path, mode="w"))
        def handle(req):
            log.error("to both")
        """,
        loose="written by descriptor",
    ),
    "records of threads come with theirs": Program(
        """
        import logging, threading
        logging.basicConfig(format="%(threadName)s %(message)s", level=logging.INFO)
        def handle(req):
            for name in ("a", "b"):
                thread = threading.Thread(target=logging.info, args=("hello",), name=name)
                thread.start()
                thread.join()
        """,
        fresh=True,
    ),
    "records of an executor's tasks come with theirs": """
        import concurrent.futures, logging
        logging.basicConfig(format="%(message)s", level=logging.INFO)
        def handle(req):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                pool.submit(logging.info, "from the pool").result()
    """,
    "records of a forked child are written": Program(
        """
        import logging, os
        logging.basicConfig(format="%(message)s")
        def handle(req):
            child = os.fork()
            if child == 0:
                logging.warning("from the child")
                os._exit(0)
            os.waitpid(child, 0)
            logging.warning("from the parent")
        """,
        loose="a child's",
    ),
    "records of a process pool are written": Program(
        """
        import logging, multiprocessing
        logging.basicConfig(format="%(message)s")
        def work(number):
            logging.warning("work %d", number)
            return number * number
        def handle(req):
            with multiprocessing.get_context("fork").Pool(1) as pool:
                return {"body": {"squares": pool.map(work, [1, 2, 3])}}
        """,
        loose="a child's",
    ),
    "captureWarnings sends warnings to the log": """
        import logging, warnings
        logging.basicConfig(format="%(levelname)s %(name)s")
        logging.captureWarnings(True)
        def handle(req):
            warnings.warn("old")
    """,
}
