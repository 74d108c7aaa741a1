#!/usr/bin/env python3
"""Writes src/data/tokenizer/unicode_tables.h: what the `tokenizers` library takes for a digit, punctuation, a word
character, and where its regular expressions and lower case are of a newer Unicode than 14, the oldest that PCRE2 and ICU
have on the systems that we build for.

    python3.11 unicode_tables.py > src/data/tokenizer/unicode_tables.h     # its unicodedata is Unicode 14
Needs `pip install tokenizers==0.23.3 regex` (any regex release with Unicode 16 or later).
"""
import functools
import sys
import unicodedata

import regex
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Cf".split()


HAN = regex.compile(r"\p{Han}")


def ranges(chosen):
    out = []
    for c in chosen:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def cut_by(pre_tokenizer):
    """Characters that are cut out of the middle of a word."""
    return [c for c in CODE_POINTS if len(pre_tokenizer.pre_tokenize_str("a" + chr(c) + "a")) > 1]


def word_characters():
    tok = Tokenizer(models.BPE(vocab={"x": 0}, merges=[], unk_token="x"))
    tok.add_tokens([AddedToken("QQ", single_word=True, normalized=False)])
    found = tok.token_to_id("QQ")
    return [c for c in CODE_POINTS if found not in tok.encode("QQ" + chr(c)).ids]


@functools.cache
def categories():
    """General categories of `regex`, by code point; unassigned ones are missing."""
    everything = "".join(map(chr, CODE_POINTS))
    return {ord(c): k for k in CATEGORIES for c in "".join(regex.findall(r"\p{%s}+" % k, everything))}


def peer_category(c):
    return categories().get(c, "Cn")


@functools.cache
def stand_in(size, category, is_han):
    """The first character of Unicode 14 with that category and length in UTF-8."""
    return next(c for c in CODE_POINTS if len(chr(c).encode()) == size and unicodedata.category(chr(c)) == category
                and peer_category(c) == category and bool(HAN.match(chr(c))) == is_han)


def stand_ins():
    """Characters whose category is not that of Unicode 14, and U+180E, which PCRE2's \\s has."""
    peer = {k: pre_tokenizers.Split(Regex(r"\p{%s}" % k), "isolated") for k in ("L", "N", "M", "Lu", "Ll", "Lt", "Lm", "Lo", "P", "S")}
    out = [(0x180E, 0x200B)]
    for c in CODE_POINTS:
        name = peer_category(c)
        if name in ("Cn", "Co", "Cs") or name == unicodedata.category(chr(c)):
            continue
        known = [k for k, p in peer.items() if len(p.pre_tokenize_str("\u0001" + chr(c) + "\u0001")) > 1]
        if (name if name[0] == "L" else name[0]) not in known:
            continue                                                     # newer than the peer's Unicode, too
        out.append((c, stand_in(len(chr(c).encode()), name, bool(HAN.match(chr(c))))))
    return sorted(out)


def mapped_ranges(pairs):
    out = []
    for c, to in pairs:
        if out and out[-1][1] == c - 1 and out[-1][2] == to:
            out[-1][1] = c
        else:
            out.append([c, c, to])
    return out


def lower_case():
    lower = normalizers.Lowercase()
    pairs = [(c, lower.normalize_str(chr(c))) for c in CODE_POINTS]
    odd = [(c, to) for c, to in pairs if to != chr(c).lower()]
    assert all(len(to) == 1 for _, to in odd)
    return [(c, ord(to)) for c, to in odd]


def print_table(comment, kind, name, rows):
    print(f"/// {comment}")
    print(f"inline constexpr std::array<{kind}, {len(rows)}> {name} = {{{{")
    cells = ["{" + ", ".join(hex(x) for x in row) + "}," for row in rows]
    line = "   "
    for cell in cells:
        if len(line) + 1 + len(cell) > 120:
            print(line)
            line = "   "
        line += " " + cell
    print(line)
    print("}};\n")


def main():
    print("// What the tokenizers library 0.23.3 takes for which kind of character: written by tests/peer/unicode_tables.py.")
    print("// Sorted, without overlaps; both ends are within a range.")
    print("#pragma once\n#include <array>\n\n// clang-format off\n")
    print("namespace allreco::data {\n")
    print("struct CodePointRange {\n  char32_t first, last;\n};\nstruct MappedRange {\n  char32_t first, last, to;  // every one of them becomes `to`\n};\n")
    print_table("Digits: numeric characters of Unicode 17.", "CodePointRange", "kNumericRanges", ranges(cut_by(pre_tokenizers.Digits(individual_digits=True))))
    print_table("Punctuation.", "CodePointRange", "kPunctuationRanges", ranges(cut_by(pre_tokenizers.Punctuation())))
    print_table("\\w of single_word.", "CodePointRange", "kWordRanges", ranges(word_characters()))
    print_table("For regular expressions: an older character of the same kind and length.", "MappedRange", "kStandIns", mapped_ranges(stand_ins()))
    print_table("Lower case that Unicode 14 has not.", "MappedRange", "kNewLowerCase", mapped_ranges(lower_case()))
    print("}  // namespace allreco::data")


if __name__ == "__main__":
    sys.exit(main())
