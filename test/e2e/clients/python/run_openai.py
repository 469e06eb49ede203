"""OpenAI's own client for Python."""

import asyncio
import json

import conformance_chat  # noqa: F401 - adds its cases
import conformance_completions  # noqa: F401
import conformance_errors  # noqa: F401
import conformance_responses  # noqa: F401
import conformance_tools  # noqa: F401
import openai
from openai_client import client
from pydantic import BaseModel, Field
from report import API_KEY, ASK, BASE_URL, EMBEDDER, MODEL, NAMED_TOOL, TOOL, case, check_unit, raises, report


class Weather(BaseModel):
    city: str = Field(max_length=12)
    warm: bool


@case("chat")
def chat():
    answer = client.chat.completions.create(model=MODEL, messages=ASK, max_completion_tokens=8, temperature=0)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id.startswith("req_")


@case("stream")
def stream():
    usage, text = None, ""
    options = {"model": MODEL, "messages": ASK, "max_tokens": 8, "stream": True, "stream_options": {"include_usage": True}}
    for chunk in client.chat.completions.create(**options):
        usage = chunk.usage or usage
        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
    assert text and usage.completion_tokens <= 8


@case("tools")
def tools():
    options = {"model": MODEL, "messages": ASK, "tools": [TOOL], "tool_choice": NAMED_TOOL, "max_tokens": 64}
    answer = client.chat.completions.create(**options)
    assert answer.choices[0].finish_reason in ("stop", "tool_calls"), answer
    assert "city" in json.loads(answer.choices[0].message.tool_calls[0].function.arguments)
    ids, arguments = [], ""
    for chunk in client.chat.completions.create(stream=True, **options):
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.index == 0
            ids += [call.id] if call.id else []
            arguments += call.function.arguments or ""
    assert len(ids) == 1 and "city" in json.loads(arguments)


@case("json-schema")
def json_schema():
    answer = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Weather, max_tokens=64)
    assert isinstance(answer.choices[0].message.parsed, Weather)
    response = client.responses.parse(model=MODEL, input="Is Rome warm?", text_format=Weather, max_output_tokens=64)
    assert isinstance(response.output_parsed, Weather)


@case("embeddings")
def embeddings():
    decoded = client.embeddings.create(model=EMBEDDER, input=["the sea", "blue"]).data
    floats = client.embeddings.create(model=EMBEDDER, input=["the sea", "blue"], encoding_format="float").data
    for one, other in zip(decoded, floats, strict=True):
        check_unit(one.embedding)
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-6
    cut = client.embeddings.create(model=EMBEDDER, input="the sea", dimensions=4).data[0].embedding
    assert len(cut) == 4
    check_unit(cut)


@case("responses")
def responses():
    first = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=8)
    assert first.output_text
    second = client.responses.create(model=MODEL, input="Again.", previous_response_id=first.id, max_output_tokens=8)
    assert client.responses.retrieve(second.id).output_text == second.output_text
    with client.responses.stream(model=MODEL, input="Count to three.", max_output_tokens=8) as events:
        events = list(events)
    # The helper adds events of its own, which have no number.
    numbers = [event.sequence_number for event in events if getattr(event, "sequence_number", None) is not None]
    assert numbers == sorted(numbers) and events[-1].type in ("response.completed", "response.incomplete")
    client.responses.delete(first.id)


@case("errors")
def errors():
    chat = client.chat.completions.create
    too_long = [{"role": "user", "content": "x " * 20000}]
    wrong_key = openai.OpenAI(base_url=BASE_URL, api_key="sk-wrong", max_retries=0)
    for call, kind, code in (
        (lambda: chat(model="none", messages=ASK), openai.NotFoundError, "model_not_found"),
        (lambda: chat(model=MODEL, messages=too_long), openai.BadRequestError, "context_length_exceeded"),
        (lambda: wrong_key.models.list(), openai.AuthenticationError, "invalid_api_key"),
    ):
        error = raises(kind, call)
        assert error.code == code and error.request_id.startswith("req_"), error
    assert raises(openai.BadRequestError, lambda: chat(model=MODEL, messages=ASK, temperature=5)).param == "temperature"


@case("completions")
def completions():
    answer = client.completions.create(model=MODEL, prompt=["One, two,", "A, B,"], max_tokens=4, logprobs=2, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.token_logprobs)
    scored = client.completions.create(model=MODEL, prompt="The sky is blue", max_tokens=0, echo=True, logprobs=1)
    assert scored.choices[0].text == "The sky is blue" and scored.choices[0].logprobs.token_logprobs[0] is None


@case("conversations")
def conversations():
    conversation = client.conversations.create(items=[{"type": "message", "role": "user", "content": "I am Ada."}])
    client.responses.create(model=MODEL, conversation=conversation.id, input="Who am I?", max_output_tokens=8)
    assert len(list(client.conversations.items.list(conversation.id, limit=1))) == 3
    client.conversations.delete(conversation.id)


@case("length-error")
def length_error():
    """The helper raises when an answer was cut: the true reason has to reach it."""
    options = {"model": MODEL, "messages": ASK, "max_tokens": 1, "response_format": Weather}
    raises(openai.LengthFinishReasonError, lambda: client.chat.completions.parse(**options))


@case("async")
def asynchronous():
    async def ask():
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as asynchronous_client:
            calls = [asynchronous_client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=4) for _ in range(4)]
            return await asyncio.gather(*calls)

    answers = asyncio.run(ask())
    assert len({answer.id for answer in answers}) == 4


@case("raw-response")
def raw_response():
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=1)
    assert raw.headers["x-request-id"].startswith("req_") and "openai-processing-ms" in raw.headers


@case("models")
def models():
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    raises(openai.NotFoundError, lambda: client.models.retrieve("none/of:these"))


@case("moderations")
def moderations():
    assert not client.moderations.create(input="A wonderful day.").results[0].flagged


report("openai (Python)")
