"""Calls that each client makes of the server at BASE_URL. Prints a line for each and fails when one fails.

    python check.py (official|langchain|instructor|litellm|llm) BASE_URL API_KEY MODEL

The clients do not agree about each other's versions, so each group has an environment of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback

GROUP, BASE_URL, API_KEY, MODEL = sys.argv[1:5]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
CHECKS = []


def check(group):
    def add(function):
        if group == GROUP:
            CHECKS.append(function)
        return function

    return add


def openai_client():
    import openai

    return openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)


@check("official")
def openai_chat():
    answer = openai_client().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Say hello."}], max_completion_tokens=8, temperature=0
    )
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id.startswith("req_")


@check("official")
def openai_chat_stream():
    usage, text = None, ""
    for chunk in openai_client().chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Say hello."}],
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    ):
        usage = chunk.usage or usage
        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
    assert text and usage.completion_tokens <= 8


@check("official")
def openai_tools():
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    answer = openai_client().chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Weather in Rome?"}],
        tools=tools,
        tool_choice={"type": "function", "function": {"name": "weather"}},
        max_tokens=64,
    )
    assert answer.choices[0].finish_reason in ("stop", "tool_calls"), answer
    assert "city" in json.loads(answer.choices[0].message.tool_calls[0].function.arguments)


@check("official")
def openai_parse():
    from pydantic import BaseModel, Field

    class Weather(BaseModel):
        city: str = Field(max_length=12)
        warm: bool

    answer = openai_client().chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Is Rome warm?"}], response_format=Weather, max_tokens=64
    )
    assert isinstance(answer.choices[0].message.parsed, Weather)
    response = openai_client().responses.parse(model=MODEL, input="Is Rome warm?", text_format=Weather, max_output_tokens=64)
    assert isinstance(response.output_parsed, Weather)


@check("official")
def openai_completions():
    answer = openai_client().completions.create(model=MODEL, prompt=["One, two,", "A, B,"], max_tokens=4, logprobs=2, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.token_logprobs)
    scored = openai_client().completions.create(model=MODEL, prompt="The sky is blue", max_tokens=0, echo=True, logprobs=1)
    assert scored.choices[0].text == "The sky is blue" and scored.choices[0].logprobs.token_logprobs[0] is None


@check("official")
def openai_responses():
    client = openai_client()
    first = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=8)
    assert first.output_text
    second = client.responses.create(model=MODEL, input="Again.", previous_response_id=first.id, max_output_tokens=8)
    assert client.responses.retrieve(second.id).output_text == second.output_text
    with client.responses.stream(model=MODEL, input="Count to three.", max_output_tokens=8) as stream:
        events = list(stream)
    # The helper adds events of its own, which have no number.
    numbers = [event.sequence_number for event in events if getattr(event, "sequence_number", None) is not None]
    assert numbers == sorted(numbers) and events[-1].type in ("response.completed", "response.incomplete")
    client.responses.delete(first.id)


@check("official")
def openai_conversations():
    client = openai_client()
    conversation = client.conversations.create(items=[{"type": "message", "role": "user", "content": "I am Ada."}])
    client.responses.create(model=MODEL, conversation=conversation.id, input="Who am I?", max_output_tokens=8)
    assert len(list(client.conversations.items.list(conversation.id, limit=1))) == 3
    client.conversations.delete(conversation.id)


@check("official")
def openai_errors():
    import openai

    client = openai_client()
    for call, kind, code in (
        (lambda: client.chat.completions.create(model="none", messages=[{"role": "user", "content": "x"}]), openai.NotFoundError, "model_not_found"),
        (
            lambda: client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x " * 20000}]),
            openai.BadRequestError,
            "context_length_exceeded",
        ),
        (lambda: openai.OpenAI(base_url=BASE_URL, api_key="sk-wrong", max_retries=0).models.list(), openai.AuthenticationError, "invalid_api_key"),
    ):
        try:
            call()
        except kind as error:
            assert error.code == code, error.code
        else:
            raise AssertionError(f"no {kind.__name__}")


@check("langchain")
def langchain():
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel

    class Weather(BaseModel):
        city: str
        warm: bool

    for use_responses_api in (False, True):
        model = ChatOpenAI(
            base_url=BASE_URL, api_key=API_KEY, model=MODEL, max_tokens=48, temperature=0, use_responses_api=use_responses_api, max_retries=0
        )
        assert model.invoke("Say hello.").text
        assert "".join(chunk.text for chunk in model.stream("Say hello."))
    model = ChatOpenAI(base_url=BASE_URL, api_key=API_KEY, model=MODEL, max_tokens=128, temperature=0, max_retries=0)
    bound = model.bind_tools([Weather], tool_choice="Weather")
    assert bound.invoke("Weather in Rome?").tool_calls[0]["name"] == "Weather"


@check("langchain")
def llama_index():
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(model=MODEL, api_base=BASE_URL, api_key=API_KEY, is_chat_model=True, max_tokens=8, max_retries=0)
    assert model.complete("Say hello.").text
    assert "".join(chunk.delta or "" for chunk in model.stream_complete("Say hello."))


@check("instructor")
def instructor_tools():
    import instructor
    from pydantic import BaseModel, Field

    class Weather(BaseModel):
        city: str = Field(max_length=12)
        warm: bool

    client = instructor.from_openai(openai_client(), mode=instructor.Mode.TOOLS)
    answer = client.create(
        model=MODEL, messages=[{"role": "user", "content": "Is Rome warm?"}], response_model=Weather, max_tokens=64, max_retries=0
    )
    assert isinstance(answer, Weather)


@check("litellm")
def litellm_client():
    import litellm

    litellm.drop_params = True
    options = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": API_KEY, "num_retries": 0}
    answer = litellm.completion(messages=[{"role": "user", "content": "Say hello."}], max_tokens=8, **options)
    assert answer.choices[0].message.content
    try:
        litellm.completion(messages=[{"role": "user", "content": "x " * 20000}], **options)
    except litellm.ContextWindowExceededError:
        pass
    else:
        raise AssertionError("no ContextWindowExceededError")


@check("llm")
def llm_cli():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "extra-openai-models.yaml"), "w") as file:
            file.write(f"- model_id: penstock\n  model_name: {MODEL}\n  api_base: {BASE_URL}\n  api_key_name: penstock\n")
        command = [sys.executable, "-m", "llm", "-m", "penstock", "--key", API_KEY, "-o", "max_tokens", "8", "Say hello."]
        done = subprocess.run(command, env={**os.environ, "LLM_USER_PATH": folder}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and done.stdout.strip(), done.stderr


def main():
    failed = 0
    for function in CHECKS:
        try:
            function()
            print(f"ok    {function.__name__}", flush=True)
        except Exception:  # noqa: BLE001 - each is reported, and the rest goes on
            failed += 1
            print(f"FAIL  {function.__name__}\n{traceback.format_exc(limit=4)}", flush=True)
    sys.exit(1 if failed else 0)


main()
