#!/usr/bin/env python3
"""Makes the example data and the example model from their published files. Needs only Python's standard library.

    python3 examples/make_examples.py reviews Gift_Cards_5.json.gz meta_Gift_Cards.json.gz examples/gift-cards
    python3 examples/make_examples.py reviews Magazine_Subscriptions_5.json.gz meta_Magazine_Subscriptions.json.gz tests/fixtures/magazine-subscriptions
    python3 examples/make_examples.py stories260k MODEL_DIR tok512.model

The results are committed; the READMEs in examples/ and tests/fixtures/ say where the inputs come from and under which terms. Equal inputs give
equal bytes: nothing depends on the time, the machine or the order in which Python hashes.
"""
import argparse
import gzip
import json
import pathlib
import shutil

HERE = pathlib.Path(__file__).resolve().parent
REVIEW_FIELDS = ["overall", "verified", "reviewTime", "reviewerID", "asin", "unixReviewTime"]
METADATA_FIELDS = ["asin", "title", "brand", "category", "main_cat"]


def read_rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_rows(path, rows):
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=9, mtime=0) as out:
        for row in rows:
            out.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


def pseudonyms(reviews):
    """Numbers the shoppers in the order of their purchases alone. A hash of the published id could be undone by hashing
    all published ids; this is no function of the id at all."""
    purchases = {}
    for r in reviews:
        key = (r["unixReviewTime"], r["asin"], r["overall"], r["verified"])
        purchases.setdefault(r["reviewerID"], []).append(key)
    ordered = sorted(purchases, key=lambda reviewer: sorted(purchases[reviewer]))
    width = len(str(len(ordered)))
    return {reviewer: f"S{number:0{width}}" for number, reviewer in enumerate(ordered, start=1)}


def make_reviews(reviews_path, metadata_path, directory):
    reviews = read_rows(reviews_path)
    names = pseudonyms(reviews)
    kept_reviews = []
    for r in reviews:
        row = {field: r[field] for field in REVIEW_FIELDS}
        row["reviewerID"] = names[r["reviewerID"]]
        kept_reviews.append(row)
    reviewed = {r["asin"] for r in reviews}
    kept_metadata = [{field: row[field] for field in METADATA_FIELDS} for row in read_rows(metadata_path) if row["asin"] in reviewed]
    target = pathlib.Path(directory)
    target.mkdir(exist_ok=True)
    write_rows(target / "reviews.json.gz", kept_reviews)
    write_rows(target / "metadata.json.gz", kept_metadata)
    print(f"{target}: {len(kept_reviews)} reviews of {len(names)} shoppers, {len(kept_metadata)} products")


def make_stories260k(model_dir, tokenizer):
    target = HERE / "stories260k"
    target.mkdir(exist_ok=True)
    for name in ["config.json", "model.safetensors"]:
        shutil.copyfile(pathlib.Path(model_dir) / name, target / name)
    shutil.copyfile(tokenizer, target / "tokenizer.model")
    print(f"{target}: {sum(f.stat().st_size for f in target.iterdir())} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    reviews = commands.add_parser("reviews")
    reviews.add_argument("reviews")
    reviews.add_argument("metadata")
    reviews.add_argument("directory")
    stories = commands.add_parser("stories260k")
    stories.add_argument("model_dir")
    stories.add_argument("tokenizer")
    arguments = parser.parse_args()
    if arguments.command == "reviews":
        make_reviews(arguments.reviews, arguments.metadata, arguments.directory)
    else:
        make_stories260k(arguments.model_dir, arguments.tokenizer)


if __name__ == "__main__":
    main()
