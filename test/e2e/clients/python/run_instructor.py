"""instructor."""

import instructor
import openai
from pydantic import BaseModel, Field
from report import API_KEY, ASK, BASE_URL, MODEL, case, raises, report


class Weather(BaseModel):
    city: str = Field(max_length=12)
    warm: bool


OPTIONS = {"model": MODEL, "messages": ASK, "max_tokens": 64, "max_retries": 0}


def client(mode):
    return instructor.from_openai(openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0), mode=mode)


@case("chat")
def chat():
    answer = client(instructor.Mode.TOOLS).create(response_model=None, **OPTIONS)
    assert answer.choices[0].message.content


@case("stream")
def stream():
    partial = list(client(instructor.Mode.JSON_SCHEMA).create_partial(response_model=Weather, **OPTIONS))
    assert isinstance(partial[-1].warm, bool)


@case("tools")
def tools():
    assert isinstance(client(instructor.Mode.TOOLS).create(response_model=Weather, **OPTIONS), Weather)


@case("json-schema")
def json_schema():
    assert isinstance(client(instructor.Mode.JSON_SCHEMA).create(response_model=Weather, **OPTIONS), Weather)


@case("responses")
def responses():
    assert isinstance(client(instructor.Mode.RESPONSES_TOOLS).create(response_model=Weather, **OPTIONS), Weather)


@case("errors")
def errors():
    error = raises(Exception, lambda: client(instructor.Mode.TOOLS).create(response_model=Weather, **{**OPTIONS, "model": "none"}))
    assert "model_not_found" in str(error), error


report("instructor")
