"""LiteLLM, as a client."""

import json

import litellm
from report import API_KEY, ASK, BASE_URL, EMBEDDER, MODEL, NAMED_TOOL, SCHEMA, TOOL, case, check_unit, raises, report

litellm.suppress_debug_info = True
SERVER = {"api_base": BASE_URL, "api_key": API_KEY, "num_retries": 0}
OPTIONS = {"model": f"openai/{MODEL}", "messages": ASK, "max_tokens": 64, **SERVER}


@case("chat")
def chat():
    assert litellm.completion(**OPTIONS).choices[0].message.content


@case("stream")
def stream():
    chunks = list(litellm.completion(stream=True, stream_options={"include_usage": True}, **OPTIONS))
    assert litellm.stream_chunk_builder(chunks, messages=ASK).choices[0].message.content


@case("tools")
def tools():
    answer = litellm.completion(tools=[TOOL], tool_choice=NAMED_TOOL, **OPTIONS)
    assert "city" in json.loads(answer.choices[0].message.tool_calls[0].function.arguments)


@case("json-schema")
def json_schema():
    schema = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}}
    answer = litellm.completion(response_format=schema, **OPTIONS)
    assert isinstance(json.loads(answer.choices[0].message.content)["warm"], bool)


@case("embeddings")
def embeddings():
    for one in litellm.embedding(model=f"openai/{EMBEDDER}", input=["the sea", "blue"], encoding_format="float", **SERVER).data:
        check_unit(one["embedding"])


@case("responses")
def responses():
    answer = litellm.responses(model=f"openai/{MODEL}", input="Say hello.", max_output_tokens=8, **SERVER)
    assert answer.output[0].content[0].text


@case("errors")
def errors():
    too_long = [{"role": "user", "content": "x " * 20000}]
    raises(litellm.ContextWindowExceededError, lambda: litellm.completion(**{**OPTIONS, "messages": too_long}))
    raises(litellm.NotFoundError, lambda: litellm.completion(**{**OPTIONS, "model": "openai/none"}))
    raises(litellm.AuthenticationError, lambda: litellm.completion(**{**OPTIONS, "api_key": "sk-wrong"}))


report("LiteLLM")
