#!/usr/bin/env python3
"""How long `prepare` would take on Amazon 2023, on paper: the published counts times the rates measured here.

    bench/prepare_projection.py                # the table of docs/prepare.md

Nothing here was run at that size. Rates are of one core (Intel Xeon with AMX, model 207), from `prepare`'s closing lines on 2 million made-up
reviews (bench/prepare_scale.py), bench_readers and docs/tokenizer.md; cores are taken to work beside one another as two do here, nodes to be
linked at 10 Gbit/s and to write 1 GB/s each to one shared file system. One rank a node, all cores as its threads.
"""
from dataclasses import dataclass

# Measured, a core.
GZIP_READ = 272e6  # bytes of text a second: inflate and parse (bench_readers)
SORT = 2e6 / 0.8  # rows a second
PASSES = 2e6 / 0.8  # rows a second: join, k-core, catalogue, plan, items
TOKENS = 2.0e6  # tokens encoded a second by a byte-level BPE: 8.2 MB/s of real prompts (docs/tokenizer.md), 4.1 bytes a token; made-up ones were faster
EFFICIENCY = 0.7  # of cores beside one another: two ranks were 1.3 to 1.4 times as fast as one

# Of the program's formats.
ROW = 32 + 28 + 10  # bytes of a packed row: header, user and item of 2023
PURCHASE = 16
ITEM_TEXT = 150
TABLE_ITEM = 420 + ITEM_TEXT  # bytes of memory of an item on every rank
NETWORK, DISK = 1.25e9, 1e9


@dataclass
class Source:
    """Reviews and items as published (Hou et al. 2024); the rest are estimates, which docs/prepare.md gives reasons for."""
    name: str
    reviews: float
    items: float
    text: float  # bytes of reviews and metadata, inflated
    largest_file: float  # of that, the largest file of reviews: one reader
    examples: float
    tokens_of_example: float = 250


BOOKS = Source("Books", 29.5e6, 4.4e6, 42e9, 22e9, 6.4e6)
ALL = Source("all 33 categories", 571.5e6, 48.2e6, 464e9, 35e9, 124e6)


def row(source: Source, nodes: int, cores: int) -> str:
    workers = nodes * cores * EFFICIENCY
    ranks = nodes  # one a node, with all its cores as threads: the item table is there once
    read = max(source.text / (workers * GZIP_READ), source.largest_file / (2 * GZIP_READ))  # a .gz has one reader: two threads
    sent = source.reviews * ROW * (ranks - 1) / ranks + source.items * ITEM_TEXT * (ranks - 1)  # every rank learns all items
    example = source.tokens_of_example * 4 + 100
    spilled = source.reviews * (ROW + PURCHASE) + source.examples * example
    written = source.examples * (source.tokens_of_example * 2 + 100)
    seconds = {
        "read": read,
        "exchange": sent / nodes / NETWORK,
        "sort and pass": source.reviews / (workers * SORT) + source.reviews / (workers * PASSES),
        "encode": source.examples * source.tokens_of_example / (workers * TOKENS),
        "disk": (2 * spilled + written) / nodes / DISK,
    }
    total = sum(seconds.values())
    parts = ", ".join(f"{name} {value / 60:.1f}" for name, value in seconds.items())
    return (f"| {source.name} | {nodes} x {cores} | {total / 60:.0f} | {parts} | {sent / 1e9:.1f} | {spilled / 1e9:.0f} | {written / 1e9:.0f} | "
            f"{source.items * TABLE_ITEM / 2**30:.0f} |")


def main() -> None:
    print("| source | nodes x cores | minutes | of them | GB sent | GB spilled | GB of shards | GiB of items a rank |")
    print("|---|---|---|---|---|---|---|---|")
    for source in (BOOKS, ALL):
        for nodes in (1, 8):
            print(row(source, nodes, 32))


if __name__ == "__main__":
    main()
