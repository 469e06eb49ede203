"""GPT-3's completions, and embeddings, moderations and models."""

import base64
import struct

import openai
from openai_client import client, rejects
from report import EMBEDDER, MODEL, case, check_unit

PROMPT = "The sky is blue and the sea is"


def complete(prompt=PROMPT, **options):
    return client.completions.create(**{"model": MODEL, "prompt": prompt, "max_tokens": 6, "temperature": 0, **options})


def ids_of(text, model=MODEL):
    """By a path of vLLM's, outside of /v1."""
    return client.post(str(client.base_url).removesuffix("/v1/") + "/tokenize", cast_to=object, body={"model": model, "prompt": text})["tokens"]


@case("completions/prompt-kinds")
def prompt_kinds():
    text = complete().choices[0].text
    ids = ids_of(PROMPT)
    for prompt in ([PROMPT], ids, [ids]):
        answer = complete(prompt)
        assert [choice.text for choice in answer.choices] == [text], prompt
        assert answer.usage.prompt_tokens == len(ids)


@case("completions/many-prompts")
def many_prompts():
    prompts = ["One, two,", "A, B,", "Monday, Tuesday,"]
    answer = complete(prompts)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.text for choice in answer.choices] == [complete(prompt).choices[0].text for prompt in prompts]


@case("completions/n-by-prompt")
def n_by_prompt():
    """Choice i of prompt p has the index p * n + i."""
    answer = complete([PROMPT, "A, B,"], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text == answer.choices[1].text != answer.choices[2].text


@case("completions/shape")
def shape():
    answer = complete()
    assert answer.id.startswith("cmpl-") and answer.object == "text_completion" and answer.choices[0].logprobs is None


@case("completions/default-length")
def default_length():
    assert complete(max_tokens=openai.omit, logit_bias={"2": -100, "0": -100}).usage.completion_tokens == 16


@case("completions/echo")
def echo():
    assert complete(echo=True).choices[0].text == PROMPT + complete().choices[0].text


@case("completions/score")
def score():
    """What lm-evaluation-harness asks for."""
    answer = complete(echo=True, logprobs=1, max_tokens=0)
    [choice] = answer.choices
    report = choice.logprobs
    assert choice.text == PROMPT == "".join(report.tokens) and answer.usage.completion_tokens == 0
    lengths = {len(report.tokens), len(report.token_logprobs), len(report.top_logprobs), len(report.text_offset)}
    assert len(lengths) == 1 and report.token_logprobs[0] is None and all(value <= 0 for value in report.token_logprobs[1:])
    assert report.text_offset == [sum(map(len, report.tokens[:index])) for index in range(len(report.tokens))]


@case("completions/score-of-what-was-said")
def score_said():
    """A text has the same probabilities when it is scored as when it was said."""
    said = complete(logprobs=0).choices[0]
    scored = complete(PROMPT + said.text, echo=True, logprobs=0, max_tokens=0).choices[0].logprobs
    count = len(said.logprobs.tokens)
    if scored.tokens[-count:] == said.logprobs.tokens:
        assert all(abs(a - b) < 0.05 for a, b in zip(scored.token_logprobs[-count:], said.logprobs.token_logprobs, strict=True))


@case("completions/logprobs")
def logprobs():
    report = complete(logprobs=3).choices[0].logprobs
    assert len(report.tokens) == len(report.token_logprobs) == len(report.top_logprobs) == len(report.text_offset) == 6
    for token, value, top in zip(report.tokens, report.token_logprobs, report.top_logprobs, strict=True):
        assert abs(top[token] - value) < 1e-6 and max(top.values()) == top[token]


@case("completions/best-of")
def best_of():
    answer = complete(best_of=3, n=1, temperature=1, seed=1)
    assert len(answer.choices) == 1 and answer.usage.completion_tokens > 6
    rejects(lambda: complete(best_of=1, n=2), "best_of")
    rejects(lambda: complete(best_of=2, stream=True), "best_of")


@case("completions/stop")
def stop():
    whole = complete(max_tokens=16).choices[0].text
    answer = complete(max_tokens=16, stop=whole[5:8])
    assert answer.choices[0].text == whole[: whole.index(whole[5:8])] and answer.choices[0].finish_reason == "stop"


@case("completions/suffix")
def suffix():
    rejects(lambda: complete(suffix="."), "suffix")


@case("completions/nothing-to-say")
def nothing_to_say():
    rejects(lambda: complete(max_tokens=0), "max_tokens")


@case("completions/streamed")
def streamed():
    chunks = list(complete(stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == complete().choices[0].text
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 6 and len({chunk.id for chunk in chunks}) == 1


@case("completions/streamed-prompts")
def streamed_prompts():
    texts = ["", ""]
    for chunk in complete(["One, two,", "A, B,"], stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [choice.text for choice in complete(["One, two,", "A, B,"]).choices]


def embed(text="the sea is blue", **options):
    return client.embeddings.create(model=EMBEDDER, input=text, **options)


def close(one, other):
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-5


@case("embeddings/one")
def embed_one():
    answer = embed()
    assert answer.object == "list" and answer.data[0].object == "embedding" and answer.data[0].index == 0 and answer.model == EMBEDDER
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    check_unit(answer.data[0].embedding)


@case("embeddings/many")
def embed_many():
    texts = ["the sea", "is blue", "the sea", "cafe!"]
    data = embed(texts).data
    assert [one.index for one in data] == [0, 1, 2, 3] and close(data[0].embedding, data[2].embedding)
    for text, one in zip(texts, data, strict=True):
        assert close(one.embedding, embed(text).data[0].embedding)


@case("embeddings/base64")
def embed_base64():
    raw = client.embeddings.with_raw_response.create(model=EMBEDDER, input="the sea", encoding_format="base64")
    encoded = base64.b64decode(raw.http_response.json()["data"][0]["embedding"])
    assert close(struct.unpack(f"<{len(encoded) // 4}f", encoded), embed("the sea", encoding_format="float").data[0].embedding)


@case("embeddings/dimensions")
def embed_dimensions():
    whole, cut = embed().data[0].embedding, embed(dimensions=4).data[0].embedding
    length = sum(value * value for value in whole[:4]) ** 0.5
    assert close(cut, [value / length for value in whole[:4]])


@case("embeddings/wrong")
def embed_wrong():
    rejects(lambda: embed(""), "input")
    rejects(lambda: embed([]), "input")
    rejects(lambda: embed(dimensions=0), "dimensions")
    rejects(lambda: embed(dimensions=10_000), "dimensions")
    rejects(lambda: embed(encoding_format="hex"), "encoding_format")
    rejects(lambda: client.embeddings.create(model="none", input="x"), kind=openai.NotFoundError, code="model_not_found")


@case("embeddings/token-ids")
def embed_token_ids():
    """Some clients send nothing but ids of OpenAI's vocabulary: they are read as the text that they stand for."""
    texts = ["the sea is blue", "cafe!"]
    ids = [ids_of(text, model="cl100k_base") for text in texts]
    expected = [one.embedding for one in embed(texts).data]
    for given, wanted in ((ids, expected), (ids[0], expected[:1])):
        for one, other in zip(embed(given).data, wanted, strict=True):
            assert close(one.embedding, other)
    rejects(lambda: embed([200_000]), "input")


@case("moderations/kinds-of-input")
def moderate():
    for given, count in (("A fine day.", 1), (["A fine day.", "And a night."], 2), ([{"type": "text", "text": "A fine day."}], 1)):
        answer = client.moderations.create(input=given)
        assert len(answer.results) == count and answer.id.startswith("modr-"), answer.id
        assert set(answer.results[0].categories.model_dump()) >= {"hate", "violence", "self_harm"}


@case("moderations/scores")
def scores():
    calm, angry = client.moderations.create(input=["I like the sea.", "I will kill you and your family."]).results
    assert angry.category_scores.violence > calm.category_scores.violence


@case("models/list")
def list_models():
    models = client.models.list().data
    assert {MODEL, EMBEDDER, "gpt-refined"} <= {model.id for model in models}
    assert all(model.object == "model" and model.owned_by and model.created for model in models)


@case("models/odd-ids")
def odd_ids():
    """Ids of fine-tuned models hold `:`, those of hubs `/`."""
    for name in ("none/of:these", "ft:none:x::1", "a b"):
        rejects(lambda name=name: client.models.retrieve(name), kind=openai.NotFoundError, code="model_not_found")
