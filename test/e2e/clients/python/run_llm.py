"""The `llm` command."""

import os
import subprocess
import sys
import tempfile

from report import API_KEY, BASE_URL, MODEL, case, report

FOLDER = tempfile.TemporaryDirectory()
COMMON = f"  model_name: {MODEL}\n  api_base: {BASE_URL}\n  api_key_name: penstock\n  supports_schema: true\n  supports_tools: true\n"
with open(os.path.join(FOLDER.name, "extra-openai-models.yaml"), "w") as file:
    file.write(f"- model_id: penstock\n{COMMON}- model_id: penstock-responses\n  responses: true\n{COMMON}")


def llm(*arguments, model="penstock", key=API_KEY):
    command = [sys.executable, "-m", "llm", "-m", model, "--key", key, *arguments]
    return subprocess.run(command, env={**os.environ, "LLM_USER_PATH": FOLDER.name}, capture_output=True, text=True, timeout=120)


def answer(*arguments, **options):
    done = llm(*arguments, **options)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
    return done.stdout


@case("chat")
def chat():
    answer("--no-stream", "-o", "max_tokens", "8", "Say hello.")


@case("stream")
def stream():
    answer("-o", "max_tokens", "8", "Say hello.")


@case("tools")
def tools():
    """The command cannot name a tool that must be called: the model calls, again and again it may be, or it answers."""
    done = llm("-T", "llm_version", "-o", "max_tokens", "32", "--chain-limit", "2", "Say hello.")
    assert (done.returncode == 0 and done.stdout.strip()) or "Chain limit of 2 exceeded" in done.stderr, done.stderr


@case("json-schema")
def json_schema():
    assert '"warm"' in answer("--schema", "warm bool", "-o", "max_tokens", "32", "Is Rome warm?")


@case("responses")
def responses():
    answer("-o", "max_tokens", "8", "Say hello.", model="penstock-responses")


@case("errors")
def errors():
    done = llm("Say hello.", key="sk-wrong")
    assert done.returncode != 0 and "Incorrect API key" in done.stderr, done.stderr


print("skip\tllm\tembeddings\tthe command knows OpenAI's own embedding models alone, by their names")
report("llm")
