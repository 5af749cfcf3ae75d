"""One call's way in: what was asked for, by whom, from which origin, and the gateway that takes it through.

Not here: the bytes of HTTP (``http``), what is deployed (``functions``), instances (``pool``), and how a
call ends (``outcome``).

Reading order: ``gateway`` (the steps), ``request`` (paths and headers, bounded), ``origins`` and ``cors``
(browsers), ``credential`` and ``wrong_tokens`` (who asks), ``pending_call`` (the call on its way to a cell),
``timing`` (where its time went).
"""
