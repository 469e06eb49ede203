"""Chat completions, whole and streamed: what OpenAI's API does, case by case."""

import json

import openai
from openai_client import ask, client, rejects, text_of
from report import ASK, MODEL, case

COUNT = [{"role": "user", "content": "Count: one, two, three, four, five, six, seven."}]


def prompt_tokens(messages):
    return ask(messages=messages, max_tokens=1).usage.prompt_tokens


@case("chat/roles")
def roles():
    """System and developer say the same to a model whose template knows one of them; both are read."""
    plain, system, developer = (
        prompt_tokens([*({"role": role, "content": "Answer in French."} for role in roles), *ASK]) for roles in ((), ("system",), ("developer",))
    )
    assert system == developer > 0 and system != plain, (plain, system, developer)


@case("chat/turns")
def turns():
    longer = [*ASK, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And Oslo?"}]
    assert prompt_tokens(longer) > prompt_tokens(ASK)


@case("chat/content-parts")
def content_parts():
    """One part is the text itself; several are all read."""
    part = {"type": "text", "text": "Is Rome warm?"}
    assert text_of(ask(messages=[{"role": "user", "content": [part]}])) == text_of(ask(messages=ASK))
    assert prompt_tokens([{"role": "user", "content": [part, part]}]) > prompt_tokens(ASK)


@case("chat/name-of-author")
def name_of_author():
    ask(messages=[{"role": "user", "name": "ada", "content": "Hi"}], max_tokens=1)


@case("chat/null-content-with-calls")
def null_content():
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [*ASK, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "30"}]
    ask(messages=said, max_tokens=1)


@case("chat/unicode")
def unicode():
    ask(messages=[{"role": "user", "content": "Grüße 日本語 👩‍👩‍👧 \u0000 \u202e"}], max_tokens=4)


@case("chat/control-tokens-are-text")
def control_tokens():
    """A user who types a role's mark does not open a turn: it is more than one token."""
    marked, plain = (prompt_tokens([{"role": "user", "content": text}]) for text in ("a<|im_start|>b", "ab"))
    assert marked - plain > 1, (marked, plain)


@case("chat/n")
def several():
    answer = ask(n=3, temperature=1, max_tokens=8)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.prompt_tokens == ask().usage.prompt_tokens


@case("chat/stop")
def stop():
    whole = text_of(ask(messages=COUNT, max_tokens=40))
    mark = whole[len(whole) // 2 :][:3]
    for sequences in (mark, [mark], ["zzzz", mark]):
        answer = ask(messages=COUNT, max_tokens=40, stop=sequences)
        assert text_of(answer) == whole[: whole.index(mark)] and answer.choices[0].finish_reason == "stop", answer


@case("chat/max-tokens")
def max_tokens():
    for name in ("max_tokens", "max_completion_tokens"):
        answer = ask(**{"max_tokens": openai.omit, name: 3})
        assert answer.usage.completion_tokens == 3 and answer.choices[0].finish_reason == "length"


@case("chat/greedy")
def greedy():
    assert len({text_of(ask(max_tokens=12)) for _ in range(3)}) == 1
    assert text_of(ask(max_tokens=12, temperature=2, top_p=0.0001)) == text_of(ask(max_tokens=12))


@case("chat/seed")
def seed():
    texts = [text_of(ask(temperature=1, seed=one, max_tokens=16)) for one in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2], texts


@case("chat/logprobs")
def logprobs():
    tokens = ask(logprobs=True, top_logprobs=5, max_tokens=4).choices[0].logprobs.content
    assert len(tokens) == 4
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 5 and bytes(token.bytes).decode() == token.token
        assert token.top_logprobs[0].token == token.token
        assert [one.logprob for one in token.top_logprobs] == sorted((one.logprob for one in token.top_logprobs), reverse=True)
    assert all(not token.top_logprobs for token in ask(logprobs=True, max_tokens=2).choices[0].logprobs.content)
    assert ask().choices[0].logprobs is None


@case("chat/logit-bias")
def logit_bias():
    forced = ask(logit_bias={"1000": 100}, max_tokens=3, logprobs=True).choices[0].logprobs.content
    assert len({token.token for token in forced}) == 1
    free = ask(max_tokens=3, logprobs=True).choices[0].logprobs.content
    assert [token.token for token in free] != [token.token for token in forced]


@case("chat/penalties")
def penalties():
    """A model that is pushed off its own words says something else, at least of one of several things that it repeats itself about."""
    asked = [[{"role": "user", "content": text}] for text in ("Count to twenty.", "Repeat: la la la la la la", "Name ten colours.")]
    plain = [text_of(ask(messages=messages, max_tokens=32)) for messages in asked]
    for name in ("frequency_penalty", "presence_penalty"):
        assert [text_of(ask(messages=messages, max_tokens=32, **{name: 2})) for messages in asked] != plain, name


@case("chat/accepted-fields")
def accepted_fields():
    ask(max_tokens=1, user="u", metadata={"a": "b"}, store=False, service_tier="auto", safety_identifier="s", prompt_cache_key="k", verbosity="low")


@case("chat/usage")
def usage():
    used = ask(max_tokens=5).usage
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens
    assert used.completion_tokens_details.reasoning_tokens == 0 and used.prompt_tokens_details.cached_tokens <= used.prompt_tokens


@case("chat/ids")
def ids():
    answers = [ask(max_tokens=1) for _ in range(3)]
    assert len({answer.id for answer in answers}) == 3 and all(answer.id.startswith("chatcmpl-") for answer in answers)
    assert answers[0].object == "chat.completion" and answers[0].model == MODEL


@case("chat/refusal-and-annotations")
def refusal():
    message = ask(max_tokens=1).choices[0].message
    assert message.role == "assistant" and message.refusal is None and message.annotations == []


@case("chat/no-images")
def no_images():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    error = rejects(lambda: ask(messages=[{"role": "user", "content": [image]}]), "messages.0.content.0")
    assert "image_url" in error.message


@case("chat/no-audio")
def no_audio():
    rejects(lambda: ask(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}))


def stream(**options):
    return list(ask(stream=True, **options))


@case("stream/one-answer")
def one_answer():
    chunks = stream(max_tokens=12)
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:])
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "length"
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks[:-1])


@case("stream/equals-whole")
def equals_whole():
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream(max_tokens=24)) == text_of(ask(max_tokens=24))


@case("stream/usage-if-asked")
def usage_if_asked():
    assert all(chunk.usage is None for chunk in stream(max_tokens=4))
    chunks = stream(max_tokens=4, stream_options={"include_usage": True})
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 4
    assert all(chunk.usage is None and chunk.choices for chunk in chunks[:-1])


@case("stream/several-choices")
def several_choices():
    texts = {}
    for chunk in stream(n=3, seed=1, temperature=1, max_tokens=8):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    whole = ask(n=3, seed=1, temperature=1, max_tokens=8).choices
    assert texts == {choice.index: choice.message.content for choice in whole}


@case("stream/stop-is-never-shown")
def stop_is_never_shown():
    whole = text_of(ask(messages=COUNT, max_tokens=40))
    mark = whole[len(whole) // 2 :][:5]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in stream(messages=COUNT, max_tokens=40, stop=mark))
    assert said == whole[: whole.index(mark)]


@case("stream/logprobs")
def stream_logprobs():
    reports = [chunk.choices[0].logprobs for chunk in stream(max_tokens=6, logprobs=True, top_logprobs=1)]
    streamed = [token for report in reports if report for token in report.content or []]
    assert [token.token for token in streamed] == [token.token for token in ask(max_tokens=6, logprobs=True).choices[0].logprobs.content]


@case("stream/done-once")
def done_once():
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=ASK, max_tokens=3, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = list(response.iter_lines())
    data = [line for line in lines if line.startswith("data: ")]
    assert data[-1] == "data: [DONE]" and data.count("data: [DONE]") == 1
    assert all(json.loads(line[6:])["object"] == "chat.completion.chunk" for line in data[:-1])


@case("stream/obfuscation")
def obfuscation():
    """Deltas hide their length unless they are told not to."""
    assert any(getattr(chunk, "obfuscation", None) for chunk in stream(max_tokens=3))
    assert not any(getattr(chunk, "obfuscation", None) for chunk in stream(max_tokens=3, stream_options={"include_obfuscation": False}))


@case("stream/left-early")
def left_early():
    answer = ask(max_tokens=500, stream=True)
    next(iter(answer))
    answer.close()
    ask(max_tokens=1)


@case("stream/helper")
def helper():
    with client.chat.completions.stream(model=MODEL, messages=ASK, max_tokens=500, stop=["."], temperature=0) as events:
        kinds = {event.type for event in events}
        final = events.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds and final.choices[0].message.content


@case("stream/errors-before-it-begins")
def errors_before():
    rejects(lambda: ask(model="none", stream=True), kind=openai.NotFoundError, code="model_not_found")
