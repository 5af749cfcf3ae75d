"""What a function prints and logs, on its way to the two log pipes.

Not here: what Python shows of exceptions (``answer.tracebacks``), which call a line belongs to
(``serve.current_call``), and the format of the log pipes (``logwire``).

Reading order: ``output_capture`` (the streams and ``print``), ``log_records`` (records of ``logging``, loguru
and structlog).  ``worker.interpreter_hooks`` installs both.
"""
