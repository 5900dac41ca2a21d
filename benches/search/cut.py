#!/usr/bin/env python3
"""What separates queries that some photo fits from queries that none fits: cosine, z over the photos, share among everyday words.

    coca embed PHOTO… --format npy --output photos.npy
    coca embed --text NAME… --format npy --output names.npy          # src/model/everyday.txt, a name each
    coca embed --text "a photo of a NAME."… --format npy --output background.npy
    python3 benches/search/cut.py photos.npy names.npy background.npy src/model/everyday.txt captions.jsonl SCALE

captions.jsonl: {"file", "captions": […]} for each photo, in the order of photos.npy; SCALE: the logit scale of coca.json. A name that the
captions of five photos have is taken for one that fits some, a name that no caption has for one that fits none; the latter is unjust to a
search that finds what nobody mentioned.
"""

import json
import re
import sys

import numpy

SAME = 0.85


def main():
    photos, names, background = (numpy.load(path) for path in sys.argv[1:4])
    words = [line.strip() for line in open(sys.argv[4])]
    captions = [" ".join(json.loads(line)["captions"]).lower() for line in open(sys.argv[5])]
    scale = float(sys.argv[6])

    def mentioned(word):
        pattern = re.compile(r"\b" + re.escape(word.lower()) + r"(s|es)?\b")
        return numpy.array([bool(pattern.search(caption)) for caption in captions])

    mentions = numpy.stack([mentioned(word) for word in words], 1)
    counts = mentions.sum(0)
    present, absent = numpy.where(counts >= 5)[0], numpy.where(counts == 0)[0]
    cosines = photos @ names.T
    z = (cosines - cosines.mean(0)) / cosines.std(0)
    others = numpy.exp(scale * (photos @ background.T))
    alternatives = (background @ names.T < SAME).astype(numpy.float32)
    own = numpy.exp(scale * cosines)
    share = own / (own + others @ alternatives)

    print(f"{len(photos)} photos, {len(present)} names in five captions or more, {len(absent)} in none")
    for name, scores in [("cosine", cosines), ("z", z), ("share", share)]:
        best = scores.max(0)
        pairs = best[present][:, None] - best[absent][None, :]
        auc = (pairs > 0).mean() + (pairs == 0).mean() / 2
        print(f"best {name:6} of present against absent names: AUC {auc:.3f}")
    for name, scores, cuts in [("z", z, (2.5, 3, 3.5, 4)), ("share", share, (0.02, 0.03, 0.05, 0.15, 0.3))]:
        for cut in cuts:
            shown = scores >= cut
            right = (mentions & shown)[:, present].sum()
            print(
                f"{name} ≥ {cut}: something shown for {shown[:, present].any(0).mean():.2f} of present and "
                f"{shown[:, absent].any(0).mean():.2f} of absent names; of what is shown "
                f"{right / shown[:, present].sum():.2f} is mentioned, of what is mentioned "
                f"{right / mentions[:, present].sum():.2f} is shown"
            )


if __name__ == "__main__":
    main()
