#!/usr/bin/env python3
"""agree.py EXPECTED FOUND --score S [--cosine C] [--words W | --no-captions]: whether two runs of `coca` gave the same answers.

Reads JSON lines of `coca classify`, `caption` and `embed`, and of the tests on the board, whose answers are the lines of
`coca watch`. Every picture of EXPECTED must be in FOUND: the best label the same, every score within S, captions the same
word for word or, with --words, in at least this share of their words (not looked at with --no-captions), embeddings with a
cosine of at least C.
"""

import argparse
import collections
import json
import math
import os
import sys


def answers(path):
    """What was found out about each picture, in one dict for each time it was asked about."""
    found = collections.defaultdict(list)
    for line in open(path, encoding="utf-8"):
        if not line.startswith("{"):
            continue
        answer = json.loads(line)
        if "watch" in answer:
            watch = answer["watch"]
            answer = {"source": answer["source"], "labels": watch["labels"], "caption": watch["caption"]["text"]}
        found[os.path.basename(answer.get("source") or answer["text"])].append(answer)
    return found


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def shared(a, b):
    """Twice the words in both, of all words."""
    a, b = a.split(), b.split()
    return 2 * (collections.Counter(a) & collections.Counter(b)).total() / max(len(a) + len(b), 1)


class Comparison:
    def __init__(self, least_cosine, most_difference, least_words, skipped):
        self.least_cosine, self.most_difference = least_cosine, most_difference
        self.least_words, self.skipped = least_words, skipped
        self.worst_cosine, self.worst_difference = 1.0, 0.0
        self.compared, self.failures = 0, []

    def compare(self, picture, expected, found):
        if "error" in found:
            self.failures.append(f"{picture}: {found['error']}")
        for what in ({"labels", "caption", "tokens", "embedding"} - self.skipped) & expected.keys() & found.keys():
            self.compared += 1
            getattr(self, what)(picture, expected[what], found[what])

    def labels(self, picture, expected, found):
        expected, found = ({e["label"]: e["score"] for e in side} for side in (expected, found))
        if max(expected, key=expected.get) != max(found, key=found.get) or expected.keys() != found.keys():
            self.failures.append(f"{picture}: expected {expected}, found {found}")
            return
        difference = max(abs(expected[label] - found[label]) for label in expected)
        self.worst_difference = max(self.worst_difference, difference)
        if difference > self.most_difference:
            self.failures.append(f"{picture}: scores {difference:.4f} apart: expected {expected}, found {found}")

    def caption(self, picture, expected, found):
        if self.least_words is None:
            self.tokens(picture, expected, found)
        elif shared(expected, found) < self.least_words:
            self.failures.append(f"{picture}: expected {expected!r}, found {found!r}")

    def tokens(self, picture, expected, found):
        if expected != found:
            self.failures.append(f"{picture}: expected {expected!r}, found {found!r}")

    def embedding(self, picture, expected, found):
        similarity = cosine(expected, found)
        self.worst_cosine = min(self.worst_cosine, similarity)
        if similarity < self.least_cosine:
            self.failures.append(f"{picture}: cosine {similarity:.6f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("expected")
    parser.add_argument("found")
    parser.add_argument("--score", type=float, required=True)
    parser.add_argument("--cosine", type=float, default=1.0)
    captions = parser.add_mutually_exclusive_group()
    captions.add_argument("--words", type=float)
    captions.add_argument("--no-captions", action="store_true")
    arguments = parser.parse_args()
    skipped = {"caption", "tokens"} if arguments.no_captions else set()
    comparison = Comparison(arguments.cosine, arguments.score, arguments.words, skipped)
    expected, found = answers(arguments.expected), answers(arguments.found)
    for picture, sides in expected.items():
        if picture not in found:
            comparison.failures.append(f"{picture}: not answered")
        for answer in found[picture]:
            for side in sides:
                comparison.compare(picture, side, answer)
    for failure in comparison.failures:
        print(failure)
    print(
        f"{comparison.compared} answers compared: scores {comparison.worst_difference:.5f} apart at most, "
        f"cosine {comparison.worst_cosine:.7f} at least"
    )
    if comparison.failures or not comparison.compared:
        sys.exit(1)


main()
