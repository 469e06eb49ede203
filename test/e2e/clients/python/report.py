"""Runs a client's calls one by one and reports each, as report.ts above this folder reads it: python run_CLIENT.py BASE_URL API_KEY MODEL EMBEDDER."""

import re
import sys
import traceback

BASE_URL, API_KEY, MODEL, EMBEDDER = sys.argv[1:5]
ASK = [{"role": "user", "content": "Is Rome warm?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA}}
NAMED_TOOL = {"type": "function", "function": {"name": "weather"}}
CASES = []


def case(name):
    def add(function):
        CASES.append((name, function))
        return function

    return add


def check_unit(vector):
    """Embeddings have length one."""
    assert abs(sum(value * value for value in vector) - 1) < 1e-5, sum(value * value for value in vector)


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind}")


def report(client):
    for name, function in CASES:
        try:
            function()
            print(f"ok\t{client}\t{name}", flush=True)
        except Exception:  # noqa: BLE001 - each is reported, and the rest goes on
            detail = re.sub(r"\s*[\n\t]\s*", " | ", traceback.format_exc(limit=4))
            print(f"FAIL\t{client}\t{name}\t{detail[-1000:]}", flush=True)
