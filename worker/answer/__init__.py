"""What a handler returned or raised, as an answer, a message or a traceback.

Not here: the frames in which an answer leaves the cell (``serve.served_function``).

Reading order: ``response`` (what was returned, as an answer), ``json_body`` (its body as JSON), ``mistake``
(what breaks the contract), ``likely_mistakes`` (what the author has probably meant), ``handler_source`` (the
line that it is about), ``failure`` (what was raised), ``own_frames`` and ``tracebacks`` (what Python shows of
it, without the platform's frames).
"""
