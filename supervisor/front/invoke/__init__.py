"""One invocation, from the head of its request to its answer.

Not here: the bytes of HTTP (``http``), what is deployed (``functions``), instances (``pool``), and how a
call ends (``outcome``).

Reading order: ``gateway`` (the steps), ``http_call`` (the object that goes through them), ``origins`` (which
function a request names), ``request`` (its path, headers and time limit), ``callers`` (who it is from),
``page_access`` (whether a page may read the answer), ``ended_calls`` (who hears of the end), ``call_ids``.
"""
