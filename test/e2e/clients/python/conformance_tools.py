"""Calls of tools, and answers of a form."""

import json

from openai_client import ask, client, rejects
from report import ASK, MODEL, NAMED_TOOL, SCHEMA, TOOL, case

OTHER = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}
NESTED = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["sun", "rain"]},
        "days": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "object", "properties": {"high": {"type": "integer", "minimum": 0, "maximum": 50}}, "required": ["high"], "additionalProperties": False}},
        "note": {"anyOf": [{"type": "string", "maxLength": 8}, {"type": "null"}]},
    },
    "required": ["kind", "days", "note"],
    "additionalProperties": False,
}


def calls(**options):
    choice = ask(max_tokens=96, **{"tools": [TOOL, OTHER], **options}).choices[0]
    return choice, choice.message.tool_calls or []


def check_weather(text):
    value = json.loads(text)
    assert set(value) == {"city", "warm"} and isinstance(value["city"], str) and isinstance(value["warm"], bool), text


def check_nested(text):
    value = json.loads(text)
    assert set(value) == set(NESTED["required"]) and value["kind"] in ("sun", "rain"), text
    assert 1 <= len(value["days"]) <= 2 and all(0 <= day["high"] <= 50 for day in value["days"]), text
    assert value["note"] is None or len(value["note"]) <= 8, text


@case("tools/named")
def named():
    choice, made = calls(tool_choice=NAMED_TOOL)
    assert [call.function.name for call in made] == ["weather"] and choice.message.content is None
    assert made[0].type == "function" and made[0].id.startswith("call_")
    check_weather(made[0].function.arguments)


@case("tools/required")
def required():
    choice, made = calls(tool_choice="required", parallel_tool_calls=False)
    assert choice.finish_reason == "tool_calls" and made[0].function.name in ("weather", "time")


@case("tools/none")
def none():
    choice, made = calls(tool_choice="none")
    assert not made and choice.message.content and choice.finish_reason in ("stop", "length")


@case("tools/auto")
def auto():
    choice, made = calls(tool_choice="auto")
    assert bool(made) == (choice.finish_reason == "tool_calls") or choice.finish_reason == "length"


@case("tools/one-at-a-time")
def one_at_a_time():
    assert len(calls(tool_choice="required", parallel_tool_calls=False)[1]) == 1


@case("tools/allowed")
def allowed():
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "time"}}]}}
    assert {call.function.name for call in calls(tool_choice=choice)[1]} == {"time"}
    choice["allowed_tools"]["tools"][0]["function"]["name"] = "none"
    rejects(lambda: calls(tool_choice=choice), "tool_choice")


@case("tools/streamed")
def streamed():
    ids, names, arguments, reason = {}, {}, {}, None
    for chunk in ask(max_tokens=96, tools=[TOOL], tool_choice="required", parallel_tool_calls=False, stream=True):
        reason = chunk.choices[0].finish_reason or reason
        for call in chunk.choices[0].delta.tool_calls or []:
            if call.id:
                assert call.index not in ids
                ids[call.index], names[call.index] = call.id, call.function.name
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert reason == "tool_calls" and list(ids) == list(range(len(ids))) and set(names.values()) == {"weather"}
    for text in arguments.values():
        check_weather(text)


@case("tools/result")
def result():
    """What a tool said goes back, and is read."""
    _, [call, *_] = calls(tool_choice=NAMED_TOOL)
    said = [*ASK, {"role": "assistant", "tool_calls": [call.model_dump()]}, {"role": "tool", "tool_call_id": call.id, "content": "30 degrees"}]
    assert ask(messages=said, tools=[TOOL], max_tokens=4).choices[0].message.content is not None


@case("tools/nested-schema")
def nested_schema():
    tool = {"type": "function", "function": {"name": "forecast", "parameters": NESTED, "strict": True}}
    _, made = calls(tools=[tool], tool_choice="required", parallel_tool_calls=False)
    check_nested(made[0].function.arguments)


@case("tools/wrong")
def wrong():
    rejects(lambda: ask(tools="weather"), "tools")
    rejects(lambda: ask(tools=[{"type": "function"}]), "tools.0.function")
    rejects(lambda: ask(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "none"}}), "tool_choice")
    rejects(lambda: ask(tool_choice="required"), "tool_choice")


def answer(schema, **options):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    return ask(response_format=form, max_tokens=96, **options)


@case("json/object")
def json_object():
    # A tiny model may write on until it is cut: what it has written begins an object all the same.
    choice = ask(messages=[{"role": "user", "content": "Answer in JSON: is Rome warm?"}], response_format={"type": "json_object"}, max_tokens=200).choices[0]
    assert choice.message.content.lstrip().startswith("{")
    assert choice.finish_reason == "length" or isinstance(json.loads(choice.message.content), dict)


@case("json/schema")
def json_schema():
    check_weather(answer(SCHEMA).choices[0].message.content)


@case("json/nested-schema")
def nested():
    check_nested(answer(NESTED).choices[0].message.content)


@case("json/hot")
def hot():
    """At any temperature."""
    for seed in range(3):
        check_weather(answer(SCHEMA, temperature=2, seed=seed).choices[0].message.content)


@case("json/streamed")
def json_streamed():
    check_weather("".join(chunk.choices[0].delta.content or "" for chunk in answer(SCHEMA, stream=True)))


@case("json/references")
def references():
    schema = {"$defs": {"yes": {"type": "boolean"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/yes"}}, "required": ["a"], "additionalProperties": False}
    assert isinstance(json.loads(answer(schema).choices[0].message.content)["a"], bool)


@case("json/bad-schema")
def bad_schema():
    rejects(lambda: answer({"type": "nonsense"}), "response_format.json_schema.schema")
    rejects(lambda: ask(response_format={"type": "json_schema"}))
    rejects(lambda: client.chat.completions.create(model=MODEL, messages=ASK, response_format={"type": "yaml"}))
