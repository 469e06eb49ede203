"""Errors and headers: by the client's class, with all four fields, naming the field at fault."""

import openai
from openai_client import ask, client, rejects
from report import ASK, BASE_URL, MODEL, case

LONG = [{"role": "user", "content": "x " * 20_000}]

WRONG = {
    "temperature-too-high": ({"temperature": 5}, "temperature"),
    "temperature-negative": ({"temperature": -1}, "temperature"),
    "top-p": ({"top_p": 2}, "top_p"),
    "n-zero": ({"n": 0}, "n"),
    "n-negative": ({"n": -1}, "n"),
    "max-tokens-zero": ({"max_tokens": 0}, "max_tokens"),
    "max-tokens-negative": ({"max_tokens": -5}, "max_tokens"),
    "messages-empty": ({"messages": []}, "messages"),
    "messages-of-wrong-type": ({"messages": "hi"}, "messages"),
    "role-unknown": ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
    "content-missing": ({"messages": [{"role": "user"}]}, "messages.0.content"),
    "penalty": ({"presence_penalty": 3}, "presence_penalty"),
    "top-logprobs-alone": ({"top_logprobs": 2}, "top_logprobs"),
    "top-logprobs-too-many": ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    "stop-too-many": ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    "logit-bias": ({"logit_bias": {"5": 101}}, "logit_bias.5"),
    "seed": ({"seed": "one"}, "seed"),
    "unknown-field": ({"extra_body": {"nonsense": 1}}, "nonsense"),
    "stream-of-wrong-type": ({"extra_body": {"stream": "yes"}}, "stream"),
    "too-long": ({"messages": LONG}, "messages"),
}


def add(name, options, param):
    @case(f"errors/{name}")
    def wrong():
        rejects(lambda: ask(**options), param, code="context_length_exceeded" if name == "too-long" else None)


for name, (options, param) in WRONG.items():
    add(name, options, param)


def with_key(key):
    return openai.OpenAI(base_url=BASE_URL, api_key=key, max_retries=0)


@case("errors/wrong-key")
def wrong_key():
    rejects(lambda: with_key("sk-wrong").models.list(), kind=openai.AuthenticationError, code="invalid_api_key")


@case("errors/unknown-model")
def unknown_model():
    rejects(lambda: ask(model="none"), "model", kind=openai.NotFoundError, code="model_not_found")


@case("errors/unknown-path")
def unknown_path():
    rejects(lambda: client.post("/nowhere", cast_to=object, body={}), kind=openai.NotFoundError)


@case("errors/wrong-method")
def wrong_method():
    error = rejects(lambda: client.delete("/chat/completions", cast_to=object), kind=openai.APIStatusError)
    assert error.status_code == 405 and error.response.headers["allow"] == "POST"


@case("errors/body-too-large")
def body_too_large():
    error = rejects(lambda: ask(messages=[{"role": "user", "content": "x" * (5 * 2**20)}]), kind=openai.APIStatusError)
    assert error.status_code == 413


@case("errors/rate-limit")
def rate_limit():
    """A key with a limit of its own: the client learns how long it has to wait."""
    body = {"name": "conformance", "limits": {"requests_per_minute": 1}}
    made = client.post("/admin/api_keys", cast_to=object, body=body)
    limited = with_key(made["key"]).chat.completions
    try:
        limited.create(model=MODEL, messages=ASK, max_tokens=1)
        call = lambda: limited.create(model=MODEL, messages=ASK, max_tokens=1)  # noqa: E731
        error = rejects(call, kind=openai.RateLimitError, code="rate_limit_exceeded")
        assert int(error.response.headers["retry-after"]) >= 1
    finally:
        client.delete(f"/admin/api_keys/{made['id']}", cast_to=object)


@case("headers/request-id")
def request_id():
    answers = [client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=1) for _ in range(2)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
    assert all(answer.headers["x-request-id"].startswith("req_") for answer in answers)


@case("headers/processing-time")
def processing_time():
    raw = client.models.with_raw_response.list()
    assert int(raw.headers["openai-processing-ms"]) >= 0 and raw.headers["openai-version"]


@case("headers/rate-limits")
def rate_limits():
    body = {"name": "conformance", "limits": {"requests_per_minute": 100, "tokens_per_minute": 10_000}}
    made = client.post("/admin/api_keys", cast_to=object, body=body)
    try:
        headers = with_key(made["key"]).chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=1).headers
        for what in ("requests", "tokens"):
            limit, remaining = (int(headers[f"x-ratelimit-{name}-{what}"]) for name in ("limit", "remaining"))
            assert 0 <= remaining < limit and headers[f"x-ratelimit-reset-{what}"], headers
    finally:
        client.delete(f"/admin/api_keys/{made['id']}", cast_to=object)
