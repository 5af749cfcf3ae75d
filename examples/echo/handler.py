"""Answers with the body it was sent: the skeleton of the original's Python template page."""


def handle(req):
    return {
        "status_code": 200,
        "body": req.body.decode("utf-8"),
    }
