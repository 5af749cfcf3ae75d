"""A function whose imports weigh: for the cold start."""

import pandas


def handle(req):
    return {"body": {"sum": int(pandas.Series([1, 2, 3]).sum())}}
