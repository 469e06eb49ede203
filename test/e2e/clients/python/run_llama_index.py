"""LlamaIndex."""

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel, Field
from report import API_KEY, BASE_URL, EMBEDDER, MODEL, case, check_unit, raises, report

ASK = [ChatMessage(role="user", content="Is Rome warm?")]


class Weather(BaseModel):
    city: str = Field(max_length=12)
    warm: bool


def like(**options):
    defaults = {"model": MODEL, "api_base": BASE_URL, "api_key": API_KEY, "is_chat_model": True, "max_tokens": 64, "max_retries": 0}
    return OpenAILike(**{**defaults, **options})


@case("chat")
def chat():
    assert like().chat(ASK).message.content


@case("stream")
def stream():
    assert "".join(chunk.delta or "" for chunk in like().stream_chat(ASK))


@case("tools")
def tools():
    def weather(warm: bool) -> str:
        """Tells the weather."""
        return "30 degrees"

    model = like(is_function_calling_model=True)
    tool = FunctionTool.from_defaults(weather)
    answer = model.chat_with_tools([tool], user_msg="Weather in Rome?", tool_required=True)
    assert model.get_tool_calls_from_response(answer)[0].tool_name == "weather"


@case("json-schema")
def json_schema():
    model = like(should_use_structured_outputs=True)
    assert isinstance(model.as_structured_llm(Weather).chat(ASK).raw, Weather)


@case("embeddings")
def embeddings():
    model = OpenAILikeEmbedding(model_name=EMBEDDER, api_base=BASE_URL, api_key=API_KEY, max_retries=0)
    for vector in model.get_text_embedding_batch(["the sea", "blue"]):
        check_unit(vector)


@case("responses")
def responses():
    model = OpenAIResponses(model=MODEL, api_base=BASE_URL, api_key=API_KEY, max_output_tokens=8, max_retries=0, context_window=2048)
    assert model.chat(ASK).message.content
    assert "".join(chunk.delta or "" for chunk in model.stream_chat(ASK))


@case("errors")
def errors():
    assert raises(openai.NotFoundError, lambda: like(model="none").chat(ASK)).code == "model_not_found"


@case("completions")
def completions():
    assert like(is_chat_model=False, max_tokens=4).complete("The sky is").text


report("LlamaIndex")
