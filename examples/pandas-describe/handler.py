"""Describes a table: CSV with a header line in, count, mean, deviation and quartiles of each column out."""

import io
import json

import pandas as pd


def handle(req):
    try:
        table = pd.read_csv(io.BytesIO(req.body))
    except (ValueError, pd.errors.ParserError) as error:
        return {"status_code": 400, "body": {"error": f"cannot read the CSV: {error}"}}
    numbers = table.select_dtypes("number")
    if numbers.empty:
        return {"status_code": 400, "body": {"error": "the CSV has no column of numbers"}}
    # to_json rather than to_dict: it writes null where there is no number, which NaN is not in JSON.
    return {"body": json.loads(numbers.describe().to_json())}
