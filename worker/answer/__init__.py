"""What a handler returned or raised, as an answer, a message and a traceback.

Reading order: ``response`` and ``json_body`` (what was returned), ``mistake``, ``likely_mistakes`` and
``handler_source`` (what is wrong with it, and where), ``failure`` (what was raised), ``own_frames`` and
``tracebacks`` (what Python shows, without our frames).
"""
