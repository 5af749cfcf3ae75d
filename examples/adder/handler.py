"""Adds the comma-separated numbers of the body: ``1,2,3`` in, ``6.0`` out."""


def handle(req):
    try:
        numbers = [float(number) for number in req.body.decode("utf-8").split(",")]
    except ValueError:
        return {"status_code": 400, "body": "Invalid input format!"}
    return {"status_code": 200, "body": sum(numbers)}
