"""The JSON echo as a function of ours: parses what it is sent and answers with it."""

import json


def handle(req):
    return {"body": json.loads(req.body)}
