"""One invocation, from the head of its request to its answer.

Not here: the bytes of HTTP (``http``), what is deployed (``functions``), instances (``pool``), and how a
call ends (``outcome``).

Reading order: ``gateway`` (the steps), ``http_call`` (the object that goes through them), ``origins`` (which
function a request names), ``request`` (its path, headers and time limit), ``credential`` (its caller) and
``caller_address`` (behind which proxy), ``known_tokens``, ``token_lookups`` and ``credential_watch`` (what
is remembered of spaces' credentials), ``wrong_tokens``, ``call_ids``.
"""
