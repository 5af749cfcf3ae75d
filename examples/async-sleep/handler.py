"""Waits without blocking, then echoes: many calls of one instance wait at the same time.

``?seconds=0.2`` says how long, one second if absent, five at most.
"""

import asyncio


async def handle(req):
    seconds = min(max(0.0, req.query.get("seconds", 1.0, type=float)), 5.0)
    await asyncio.sleep(seconds)
    return {
        "status_code": 200,
        "body": f"Asynchronous response: {req.body.decode('utf-8')}",
    }
