"""Makes reviews and metadata in the form of Amazon 2018, as many as are wanted and the same for the same seed.

Users and items are drawn by Zipf's law; times are whole days of ten years, so ties are the rule. Some reviews come twice,
some shoppers review an item again, one shopper has --hot_user reviews; some lines are blank, cut, of wrong types or hold
odd names and titles.

    bench/make_reviews.py --reviews 2000000 --output_dir DIR        # DIR/reviews.json, DIR/metadata.json
"""
import argparse
import bisect
import gzip
import itertools
import json
import pathlib
import random

DAY = 86400
WORDS = ("classic deluxe original pocket travel family large small red blue green golden silver winter summer garden kitchen "
         "music story book card game puzzle lamp chair cable charger filter brush holder cover case bottle knife set pack kit "
         "edition collection guide journal planner poster frame clock toy train doll robot drone camera lens").split()


class Zipf:
    """Numbers below `count`, the k-th in proportion to 1 / (k + 1)^exponent, in an order that is no order."""

    def __init__(self, count: int, exponent: float, stream: random.Random):
        self.sums = list(itertools.accumulate((k + 1) ** -exponent for k in range(count)))
        self.names = list(range(count))
        stream.shuffle(self.names)

    def draw(self, stream: random.Random) -> int:
        return self.names[bisect.bisect(self.sums, stream.random() * self.sums[-1])]


def user_name(number: int) -> str:
    return f"A{number * 2654435761 % 2**32:08X}{number:06d}"


def item_name(number: int) -> str:
    return f"B{number * 40503 % 65536:04X}{number:05d}"


def review(user: str, item: str, day: int, stream: random.Random, text: str) -> dict:
    return {"overall": float(stream.randint(1, 5)), "verified": stream.random() < 0.8, "reviewerID": user, "asin": item,
            "unixReviewTime": 1_262_304_000 + day * DAY, "reviewText": text, "summary": "x"}


def hostile_line(stream: random.Random) -> str:
    return stream.choice([
        "", "   ", "{", "[]", "null", '{"overall": 5.0, "reviewerID": "A1"', '{"reviewerID": "A1", "asin": "B1"}',
        '{"overall": "5", "reviewerID": "A1", "asin": "B1", "unixReviewTime": 1300000000}',
        '{"overall": -7, "reviewerID": "A1", "asin": "B1", "unixReviewTime": 1300000000}',
        '{"overall": 1e39, "reviewerID": "A1", "asin": "B1", "unixReviewTime": 1300000000}',
        '{"overall": 5, "reviewerID": "A1", "asin": "B1", "unixReviewTime": 1300000000000}',
        '{"overall": 5, "reviewerID": "", "asin": "B1", "unixReviewTime": 1300000000}', "{" * 200, "\u2028 no json"])


def write_reviews(path: pathlib.Path, options: argparse.Namespace, stream: random.Random) -> None:
    users, items = Zipf(options.users, 0.8, stream), Zipf(options.items, 0.9, stream)
    padding = " ".join(stream.choice(WORDS) for _ in range(options.text_words))
    hot_user, num_hot = user_name(options.users), 0
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8") as out:
        for i in range(options.reviews):
            is_hot = num_hot < options.hot_user and i * options.hot_user >= num_hot * options.reviews
            num_hot += is_hot
            user = hot_user if is_hot else user_name(users.draw(stream))
            if i % 9973 == 17:
                user = stream.choice(["Zoë 'the\" reader", "A" * 3000, "日本", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")])
            item = item_name(stream.randrange(options.items) if is_hot else items.draw(stream))
            row = review(user, item, stream.randrange(3650), stream, padding)
            line = json.dumps(row, ensure_ascii=False)
            out.write(line + "\n")
            dice = stream.random()
            if dice < 0.01:
                out.write(line + "\n")
            elif dice < 0.03:
                row["unixReviewTime"] += DAY * stream.randrange(5)
                row["overall"] = 6 - row["overall"]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
            elif dice < 0.034:
                out.write(hostile_line(stream) + "\n")


def title(number: int, stream: random.Random) -> object:
    words = " ".join(stream.choice(WORDS) for _ in range(stream.randint(2, 8)))
    kind = number % 100
    odd = {0: "", 1: None, 2: "<span class=\"a\"", 3: "var x = getTime(); " + words, 4: f"<b>{words}</b> &amp;amp; more",
           5: words + " \u200b日本 \u00e9", 6: "Gift Card", 7: words * 40}
    return odd.get(kind, f"{words} {number}")


def write_metadata(path: pathlib.Path, options: argparse.Namespace, stream: random.Random) -> None:
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8") as out:
        for number in range(options.items):
            if number % 50 == 49:
                continue  # no metadata
            row = {"asin": item_name(number), "title": title(number, stream), "brand": "Brand", "category": ["All", "Things"]}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            if number % 40 == 1:
                row["title"] = f"another row of {number}"
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=0, help="default: a third of the reviews")
    parser.add_argument("--items", type=int, default=0, help="default: a fortieth of the reviews, at most 60,000")
    parser.add_argument("--hot_user", type=int, default=-1, help="reviews of one shopper; default: a twentieth, at most 100,000")
    parser.add_argument("--text_words", type=int, default=40, help="words of reviewText, which nothing reads")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.users = options.users or max(10, options.reviews // 3)
    options.items = options.items or max(100, min(60_000, options.reviews // 40))
    if options.hot_user < 0:
        options.hot_user = min(100_000, options.reviews // 20)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    suffix = ".json.gz" if options.gzip else ".json"
    write_reviews(options.output_dir / f"reviews{suffix}", options, random.Random(options.seed))
    write_metadata(options.output_dir / f"metadata{suffix}", options, random.Random(options.seed + 1))


if __name__ == "__main__":
    main()
