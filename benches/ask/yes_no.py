"""Yes/no questions about everyday things, and the label for everything else, over captioned photos.

    python yes_no.py COCA DATA

COCA is the command, DATA a folder with `captions-val.jsonl` ({"file", "captions": [five sentences]}) and its photos.
A thing is in a photo if three captions or more name it, and not in it if none does. Of the everyday names, the hundred that
are in most photos are asked for; of the photos without a thing as many are drawn as have it.
"""

import json
import os
import random
import re
import subprocess
import sys

NAMES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/model/everyday.txt")


def count(name, photo):
    """Captions that name a thing, in the singular or plural."""
    word = re.compile(r"\b" + re.escape(name) + r"(e?s)?\b")
    return sum(bool(word.search(caption.lower())) for caption in photo["captions"])


def lines(coca, *arguments):
    output = subprocess.run([coca, *arguments, "--format", "jsonl"], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in output.stdout.splitlines()]


def article(name):
    return ("an " if name[0] in "aeiou" else "a ") + name


def ask(coca, data, photos, names):
    counts = {name: [count(name, photo) for photo in photos] for name in names}
    things = sorted(names, key=lambda name: -sum(c >= 3 for c in counts[name]))[:100]
    draw = random.Random(0)
    right = {"yes": 0, "no": 0}
    asked = {"yes": 0, "no": 0}
    for thing in things:
        there = [photo for photo, c in zip(photos, counts[thing]) if c >= 3]
        absent = [photo for photo, c in zip(photos, counts[thing]) if c == 0]
        for answer, some in (("yes", there), ("no", draw.sample(absent, min(len(there), len(absent))))):
            files = [os.path.join(data, photo["file"]) for photo in some]
            if not files:
                continue
            found = lines(coca, "ask", f"is there {article(thing)}?", *files)
            right[answer] += sum(line["answer"] == answer for line in found)
            asked[answer] += len(found)
    for answer in right:
        print(f"{answer}: {right[answer]} of {asked[answer]}")
    print(f"accuracy {sum(right.values()) / sum(asked.values()):.3f}")


def none(coca, data, photos, names, draws=400):
    """Four labels a photo: none of them named at all, or one of them in four captions or more."""
    draw = random.Random(1)
    cases = []
    while len(cases) < draws:
        photo, labels = draw.choice(photos), draw.sample(names, 4)
        if all(count(label, photo) == 0 for label in labels):
            cases.append(("absent", photo, labels))
    named = [(photo, name) for photo in photos for name in names if count(name, photo) >= 4]
    for photo, name in draw.sample(named, min(len(named), draws)):
        cases.append(("present", photo, [name] + draw.sample([n for n in names if n != name], 3)))
    won = {"absent": 0, "present": 0}
    total = {"absent": 0, "present": 0}
    for kind, photo, labels in cases:
        file = os.path.join(data, photo["file"])
        best = lines(coca, "classify", file, "--labels", ",".join(labels), "--none")[0]["labels"][0]["label"]
        won[kind] += best == "none"
        total[kind] += 1
    for kind in won:
        print(f"{kind}: none wins {won[kind]} of {total[kind]}")


def main():
    coca, data = sys.argv[1:]
    with open(NAMES) as f:
        names = [line.strip() for line in f if line.strip()]
    with open(os.path.join(data, "captions-val.jsonl")) as f:
        photos = [json.loads(line) for line in f]
    ask(coca, data, photos, names)
    none(coca, data, photos, names)


if __name__ == "__main__":
    main()
