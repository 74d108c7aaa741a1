"""What `allreco prepare` does with reviews, as one would write it with polars, datasets and a Hugging Face tokenizer: the same
examples (of titles that need no cleaning, without candidates). bench/prepare_peer.py runs it beside the program.

    VENV/bin/python bench/peer/prepare_polars.py REVIEWS METADATA TOKENIZER OUTPUT_DIR      needs polars, datasets, transformers,
and of a tokenizer.model protobuf and sentencepiece
"""
import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # num_proc processes instead
import datasets  # noqa: E402
import polars as pl  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

MIN_HISTORY, MAX_HISTORY, MAX_LENGTH = 4, 10, 512
TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "configs/templates"


def read_purchases(reviews: str, metadata: str) -> pl.DataFrame:
    """A row per shopper: the titles of their purchases in the order of time, then of asin."""
    fields = {"reviewerID": pl.String, "asin": pl.String, "unixReviewTime": pl.Int64, "overall": pl.Float64, "verified": pl.Boolean}
    titles = pl.read_ndjson(metadata, schema={"asin": pl.String, "title": pl.String}).unique("asin", keep="first", maintain_order=True)
    rows = pl.read_ndjson(reviews, schema=fields)
    rows = rows.sort(["reviewerID", "asin", "unixReviewTime", "overall", "verified"], descending=[False, False, False, True, True])
    rows = rows.unique(["reviewerID", "asin"], keep="first", maintain_order=True).join(titles, on="asin")
    rows = rows.sort(["reviewerID", "unixReviewTime", "asin"]).group_by("reviewerID", maintain_order=True).agg("title")
    return rows.filter(pl.col("title").list.len() > MIN_HISTORY)


class Encoder:
    def __init__(self, tokenizer, template: dict):
        self.tokenizer, self.template = tokenizer, template
        self.bos = [tokenizer.bos_token_id] if tokenizer("", add_special_tokens=True)["input_ids"][:1] == [tokenizer.bos_token_id] else []

    def prompt(self, history: list[str]) -> str:
        shown = self.template["history_separator"].join(self.template["history_item"].replace("{title}", title) for title in history)
        text = self.template["input"].replace("{history}", shown)
        return self.template["prompt"].replace("{instruction}", self.template["instruction"]).replace("{input}", text)

    def __call__(self, batch: dict) -> dict:
        answers = self.tokenizer(batch["answer"], add_special_tokens=False)["input_ids"]
        prompts = self.tokenizer([self.prompt(history) for history in batch["history"]], add_special_tokens=False)["input_ids"]
        ids, lengths = [], []
        for history, prompt, answer in zip(batch["history"], prompts, answers):
            answer = answer + [self.tokenizer.eos_token_id]
            while len(self.bos) + len(prompt) + len(answer) > MAX_LENGTH and len(history) > 1:
                history = history[1:]
                prompt = self.tokenizer(self.prompt(history), add_special_tokens=False)["input_ids"]
            whole = self.bos + prompt + answer
            fits = len(whole) <= MAX_LENGTH
            ids.append(whole if fits else [])
            lengths.append(len(self.bos) + len(prompt))
        return {"input_ids": ids, "prompt_length": lengths}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reviews"), parser.add_argument("metadata"), parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("output_dir")
    parser.add_argument("--num_proc", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    template = json.loads((TEMPLATES / "amazon-next-item-open.json").read_text())
    begin = time.perf_counter()
    shoppers = read_purchases(options.reviews, options.metadata)
    grouped = time.perf_counter()
    histories, answers = [], []
    for titles in shoppers["title"].to_list():
        for i in range(MIN_HISTORY, len(titles)):
            histories.append(titles[max(0, i - MAX_HISTORY):i])
            answers.append(titles[i])
    examples = datasets.Dataset.from_dict({"history": histories, "answer": answers})
    examples = examples.map(Encoder(tokenizer, template), batched=True, num_proc=options.num_proc, remove_columns=["history", "answer"])
    encoded = time.perf_counter()
    examples.save_to_disk(options.output_dir)
    end = time.perf_counter()
    print(json.dumps({"seconds": end - begin, "group": grouped - begin, "encode": encoded - grouped, "write": end - encoded}))


if __name__ == "__main__":
    main()
