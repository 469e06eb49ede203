"""Responses and conversations."""

import json
import time

import openai
from openai_client import client, rejects
from report import MODEL, SCHEMA, case

TOOL = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}


def respond(**options):
    return client.responses.create(**{"model": MODEL, "input": "Is Rome warm?", "max_output_tokens": 12, "temperature": 0, **options})


def stream(**options):
    return list(respond(stream=True, **options))


@case("responses/shape")
def shape():
    answer = respond()
    assert answer.id.startswith("resp_") and answer.object == "response" and answer.model == MODEL
    [message] = answer.output
    assert message.type == "message" and message.id.startswith("msg_") and message.content[0].type == "output_text"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.error is None and answer.tools == [] and answer.parallel_tool_calls is True and answer.text.format.type == "text"


@case("responses/items")
def items():
    text = respond().output_text
    message = {"role": "user", "content": "Is Rome warm?"}
    parts = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Is Rome warm?"}]}
    assert respond(input=[message]).output_text == respond(input=[parts]).output_text == text


@case("responses/instructions")
def instructions():
    plain, told = respond(), respond(instructions="Answer in French.")
    assert told.instructions == "Answer in French." and told.usage.input_tokens != plain.usage.input_tokens
    # They are for one response alone.
    follows = respond(previous_response_id=told.id, input="And Oslo?")
    assert follows.instructions is None


@case("responses/incomplete")
def incomplete():
    answer = respond(max_output_tokens=3)
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens" and answer.usage.output_tokens == 3


@case("responses/store")
def store():
    kept, unkept = respond(), respond(store=False)
    assert client.responses.retrieve(kept.id).output == kept.output
    rejects(lambda: client.responses.retrieve(unkept.id), kind=openai.NotFoundError)
    client.responses.delete(kept.id)
    rejects(lambda: client.responses.retrieve(kept.id), kind=openai.NotFoundError)
    rejects(lambda: client.responses.delete(kept.id), kind=openai.NotFoundError)


@case("responses/previous")
def previous():
    first = respond()
    second = respond(input="And Oslo?", previous_response_id=first.id)
    third = respond(input="And Bern?", previous_response_id=second.id)
    assert third.previous_response_id == second.id
    assert first.usage.input_tokens < second.usage.input_tokens < third.usage.input_tokens
    rejects(lambda: respond(previous_response_id="resp_none"), kind=(openai.NotFoundError, openai.BadRequestError))


@case("responses/input-items")
def input_items():
    messages = [{"role": "user", "content": f"Line {index}."} for index in range(5)]
    answer = respond(input=messages)
    listed = list(client.responses.input_items.list(answer.id, limit=2, order="asc"))
    assert [item.content[0].text for item in listed] == [message["content"] for message in messages]
    newest = client.responses.input_items.list(answer.id, limit=1).data
    assert newest[0].content[0].text == "Line 4."


@case("responses/conversation")
def conversation():
    made = client.conversations.create(metadata={"a": "b"}, items=[{"role": "user", "content": "I am Ada."}])
    assert made.metadata == {"a": "b"} and made.id.startswith("conv_")
    answer = respond(conversation=made.id)
    assert answer.conversation.id == made.id
    listed = list(client.conversations.items.list(made.id, order="asc"))
    assert [item.role for item in listed] == ["user", "user", "assistant"]
    assert client.conversations.items.retrieve(listed[0].id, conversation_id=made.id).id == listed[0].id
    client.conversations.items.delete(listed[0].id, conversation_id=made.id)
    assert len(list(client.conversations.items.list(made.id))) == 2
    assert client.conversations.update(made.id, metadata={"c": "d"}).metadata == {"c": "d"}
    assert client.conversations.delete(made.id).deleted
    rejects(lambda: client.conversations.retrieve(made.id), kind=openai.NotFoundError)


@case("responses/tools")
def tools():
    answer = respond(tools=[TOOL], tool_choice={"type": "function", "name": "weather"}, max_output_tokens=64)
    [call] = answer.output
    assert call.type == "function_call" and call.name == "weather" and set(json.loads(call.arguments)) == {"city", "warm"}
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "30 degrees"}
    assert respond(input=[output], previous_response_id=answer.id, tools=[TOOL]).output
    rejects(lambda: respond(tools=[{"type": "web_search"}]), "tools.0.type")


@case("responses/tools-streamed")
def tools_streamed():
    events = stream(tools=[TOOL], tool_choice="required", max_output_tokens=64)
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == done.arguments and set(json.loads(done.arguments)) == {"city", "warm"}


@case("responses/json-schema")
def json_schema():
    form = {"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": True}
    answer = respond(text={"format": form}, max_output_tokens=64)
    assert set(json.loads(answer.output_text)) == {"city", "warm"} and answer.text.format.name == "weather"


@case("responses/logprobs")
def logprobs():
    answer = respond(include=["message.output_text.logprobs"], top_logprobs=2)
    tokens = answer.output[0].content[0].logprobs
    assert "".join(token.token for token in tokens) == answer.output_text and len(tokens[0].top_logprobs) == 2
    rejects(lambda: respond(top_logprobs=2), "top_logprobs")


@case("responses/metadata")
def metadata():
    assert respond(metadata={"a": "b"}).metadata == {"a": "b"}
    rejects(lambda: respond(metadata={"a": 1}), "metadata.a")


@case("responses/truncation")
def truncation():
    """What does not fit is refused, or loses its oldest turns: as the caller says."""
    turns = [{"role": role, "content": "word " * 120} for _ in range(8) for role in ("user", "assistant")] + [{"role": "user", "content": "Hi"}]
    rejects(lambda: respond(input=turns), code="context_length_exceeded")
    answer = respond(input=turns, truncation="auto")
    assert answer.truncation == "auto" and answer.output


@case("responses/input-tokens")
def input_tokens():
    options = {"input": "Is Rome warm?", "instructions": "Be brief.", "tools": [TOOL]}
    counted = client.responses.input_tokens.count(model=MODEL, **options)
    assert counted.input_tokens == respond(**options).usage.input_tokens


@case("responses/events")
def events():
    seen = stream()
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    kinds = [event.type for event in seen]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    deltas = [event for event in seen if event.type == "response.output_text.delta"]
    assert {(event.output_index, event.content_index, event.item_id) for event in deltas} == {(0, 0, seen[2].item.id)}
    assert "".join(event.delta for event in deltas) == seen[-1].response.output_text == respond().output_text


@case("responses/event-names")
def event_names():
    with client.responses.with_streaming_response.create(model=MODEL, input="Hi", max_output_tokens=3, stream=True) as response:
        lines = [line for line in response.iter_lines() if line]
    names = [line[7:] for line in lines if line.startswith("event: ")]
    kinds = [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")]
    assert names == kinds and "[DONE]" not in "".join(lines)


@case("responses/background")
def background():
    queued = respond(background=True)
    assert queued.status in ("queued", "in_progress") and queued.background
    for _ in range(600):
        answer = client.responses.retrieve(queued.id)
        if answer.status not in ("queued", "in_progress"):
            break
        time.sleep(0.1)
    assert answer.status in ("completed", "incomplete") and answer.output_text == respond().output_text
    rejects(lambda: respond(background=True, store=False), "store")


@case("responses/resume")
def resume():
    """A stream that was left is read on from any event, without loss."""
    last, kept = 0, []
    for event in respond(background=True, stream=True, max_output_tokens=40):
        kept.append(event.type)
        last, ident = event.sequence_number, event.response.id if event.type == "response.created" else None
        if event.type == "response.created":
            name = ident
        if event.type == "response.output_text.delta":
            break
    rest = list(client.responses.retrieve(name, stream=True, starting_after=last))
    assert [event.sequence_number for event in rest] == list(range(last + 1, last + 1 + len(rest)))
    assert rest[-1].type in ("response.completed", "response.incomplete")
    everything = list(client.responses.retrieve(name, stream=True))
    assert [event.type for event in everything] == kept + [event.type for event in rest]


@case("responses/cancel")
def cancel():
    queued = respond(background=True, max_output_tokens=900)
    assert client.responses.cancel(queued.id).status in ("cancelled", "completed", "incomplete")
    rejects(lambda: client.responses.cancel(respond().id))


@case("responses/refined")
def refined():
    """Draft and refine, by a name of its own: what it worked on is its reasoning."""
    answer = respond(model="gpt-refined", input="What is rain?", max_output_tokens=96)
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    details = answer.usage.output_tokens_details
    assert 0 < details.reasoning_tokens < answer.usage.output_tokens <= 96
