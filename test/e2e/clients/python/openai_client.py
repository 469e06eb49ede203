"""OpenAI's client as the conformance cases use it."""

import openai
from report import API_KEY, ASK, BASE_URL, MODEL, raises

client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)


def ask(**options):
    """A chat completion: few tokens, and the same ones each time, unless it is told otherwise."""
    return client.chat.completions.create(**{"model": MODEL, "messages": ASK, "max_tokens": 24, "temperature": 0, **options})


def text_of(answer):
    return answer.choices[0].message.content


def rejects(call, param=None, kind=openai.BadRequestError, code=None):
    """The call fails as the API's own errors do: by class, with all fields, and the request's id."""
    error = raises(kind, call)
    assert set(error.body) == {"message", "type", "param", "code"}, error.body
    assert error.request_id.startswith("req_") and error.message, error
    assert param is None or error.param == param, (error.param, error.message)
    assert code is None or error.code == code, error.code
    return error
