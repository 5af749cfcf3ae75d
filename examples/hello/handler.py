"""Greets the caller by name: ``{"name": "Ada"}`` in, ``{"message": "Hello, Ada!"}`` out.

The greeting is the variable ``greeting`` of the space, "Hello" until somebody sets it; a change is
seen by the next call.
"""

import json

from function import variables


def handle(req):
    name = "world"
    if req.body:
        try:
            name = json.loads(req.body)["name"]
        except (ValueError, KeyError, TypeError):
            return {"status_code": 400, "body": {"error": 'send JSON such as {"name": "Ada"}'}}
    greeting = variables.get("greeting") if variables.exists("greeting") else "Hello"
    return {"body": {"message": f"{greeting}, {name}!"}}
