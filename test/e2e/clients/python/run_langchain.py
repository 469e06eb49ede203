"""LangChain for Python."""

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field
from report import API_KEY, BASE_URL, EMBEDDER, MODEL, case, check_unit, raises, report


class Weather(BaseModel):
    """Tells the weather."""

    city: str = Field(max_length=12)
    warm: bool


def chat_model(**options):
    defaults = {"base_url": BASE_URL, "api_key": API_KEY, "model": MODEL, "max_tokens": 64, "temperature": 0, "max_retries": 0}
    return ChatOpenAI(**{**defaults, **options})


@case("chat")
def chat():
    answer = chat_model().invoke("Say hello.")
    assert answer.text and answer.usage_metadata["output_tokens"] <= 64


@case("stream")
def stream():
    chunks = list(chat_model(stream_usage=True).stream("Say hello."))
    assert "".join(chunk.text for chunk in chunks)
    assert sum(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata) <= 64


@case("tools")
def tools():
    answer = chat_model().bind_tools([Weather], tool_choice="Weather").invoke("Weather in Rome?")
    assert answer.tool_calls[0]["name"] == "Weather" and isinstance(answer.tool_calls[0]["args"]["warm"], bool)


@case("json-schema")
def json_schema():
    assert isinstance(chat_model().with_structured_output(Weather, method="json_schema").invoke("Is Rome warm?"), Weather)


@case("embeddings")
def embeddings():
    # It would send ids of OpenAI's vocabulary, which are no ids of this model's: its documentation says how to send texts.
    model = OpenAIEmbeddings(base_url=BASE_URL, api_key=API_KEY, model=EMBEDDER, check_embedding_ctx_length=False, max_retries=0)
    for vector in model.embed_documents(["the sea", "blue"]):
        check_unit(vector)


@case("responses")
def responses():
    model = chat_model(use_responses_api=True)
    assert model.invoke("Say hello.").text
    assert "".join(chunk.text for chunk in model.stream("Say hello."))


@case("errors")
def errors():
    assert raises(openai.NotFoundError, lambda: chat_model(model="none").invoke("Hi")).code == "model_not_found"


report("LangChain (Python)")
