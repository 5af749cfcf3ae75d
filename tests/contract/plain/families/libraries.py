"""Libraries for logging that authors bring along, as files of the bundle."""

from __future__ import annotations

from tests.contract.plain.program import Program


def loguru(text: str) -> Program:
    """A program with loguru beside it."""
    return Program(text, brings=("loguru",))


def structlog(text: str) -> Program:
    """A program with structlog beside it."""
    return Program(text, brings=("structlog",))


PROGRAMS: dict[str, str | Program] = {
    "loguru without any set-up writes to stderr": loguru("""
        from loguru import logger
        def handle(req):
            logger.info("sold {} pears", 3)
            logger.debug("shown too")
    """),
    "loguru with a format and a level is that format and level": loguru("""
        import sys
        from loguru import logger
        logger.remove()
        logger.add(sys.stdout, format="{level} {message} {extra}", level="WARNING")
        def handle(req):
            logger.info("hidden")
            logger.bind(fruit="pear").error("none left")
    """),
    "loguru shows an exception": loguru("""
        import sys
        from loguru import logger
        logger.remove()
        logger.add(sys.stderr, format="{level} {message}", backtrace=False, diagnose=False)
        def handle(req):
            try:
                {}["pear"]
            except KeyError:
                logger.exception("no such fruit")
    """),
    "loguru writes from its thread where it is told to": Program(
        """
        import sys
        from loguru import logger
        logger.remove()
        logger.add(sys.stderr, format="{message} {level}", enqueue=True)
        def handle(req):
            logger.warning("through a queue")
            logger.complete()
        """,
        brings=("loguru",),
        loose="its thread was started at import",
    ),
    "loguru takes over what the standard library logs": loguru("""
        import logging
        import sys
        from loguru import logger
        class Intercept(logging.Handler):
            def emit(self, record):
                logger.log(record.levelname, record.getMessage())
        logger.remove()
        logger.add(sys.stderr, format="{level} {message}")
        logging.basicConfig(handlers=[Intercept()], level=logging.INFO)
        def handle(req):
            logging.getLogger("shop").warning("low")
    """),
    "structlog without any set-up prints": structlog("""
        import structlog
        log = structlog.get_logger()
        def handle(req):
            log.info("sold", fruit="pear", number=3)
    """),
    "structlog renders JSON": structlog("""
        import structlog
        structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()])
        def handle(req):
            structlog.get_logger().warning("low", fruit="pear")
    """),
    "structlog through the standard library keeps its levels": structlog("""
        import logging
        import structlog
        logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
        structlog.configure(
            processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer()],
            logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger,
        )
        def handle(req):
            structlog.get_logger("shop").debug("hidden")
            structlog.get_logger("shop").error("none left", fruit="pear")
    """),
    "structlog binds what a call's context has": structlog("""
        import structlog
        structlog.configure(processors=[
            structlog.contextvars.merge_contextvars, structlog.processors.KeyValueRenderer(sort_keys=True),
        ])
        def handle(req):
            structlog.contextvars.bind_contextvars(customer="Ada")
            structlog.get_logger().info("sold", fruit="pear")
    """),
}
