"""The same two functions for functions-framework, written as its own documentation writes them."""


def noop(request):
    return ""


def echo(request):
    return request.get_json()
