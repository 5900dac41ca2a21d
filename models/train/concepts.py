"""Concept words: the stems that captions mention, and which of them a picture's captions name."""
from __future__ import annotations

import re
from collections import Counter

import numpy as np

from data import Picture

MIN_PHOTOS = 20
RARE = 1e-3  # a share of captions under which words are not told apart
BALANCE, DRAWN = 2.0, (0.6, 2.5)
ROOMS_AND_FOOD = frozenset(
    "kitchen bathroom bedroom room toilet sink shower bathtub bed couch sofa refrigerator stove oven microwave counter cabinet "
    "table desk lamp television food plate bowl pizza sandwich cake salad vegetable fruit banana apple meal breakfast dinner "
    "lunch donut bread cheese soup meat rice broccoli carrot".split()
)
# Words that say nothing about what is seen; numbers of things stay in.
FUNCTION_WORDS = frozenset(
    "a an the of in on at to and with is are was were be being been by for from as it its it's his her their "
    "some that this there one up down out over under near next into onto while who which has have having he "
    "she they them him i you very other another each another's or but not no so than what where when do does "
    "can if we your my off s t".split()
)
_ENDINGS = (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("ing", ""), ("ed", ""), ("s", ""))


def stem(word: str) -> str:
    """Plural and -ing/-ed endings off: "beaches" → "beach", "running" → "runn"."""
    for ending, replacement in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + replacement
    return word


def stems(text: str) -> list[str]:
    return [stem(word) for word in re.findall(r"[a-z0-9']+", text.lower()) if word not in FUNCTION_WORDS]


def choose_concepts(pictures: list[Picture]) -> list[str]:
    """Every stem that the captions of at least MIN_PHOTOS photos mention: the most frequent first, then by the alphabet."""
    seen = Counter(word for p in pictures for word in {w for c in p.captions for w in stems(c)})
    return sorted((word for word, count in seen.items() if count >= MIN_PHOTOS), key=lambda word: (-seen[word], word))


def mention_share(pictures: list[Picture], concepts: list[str]) -> np.ndarray:
    """[pictures, concepts]: the share of a picture's captions that mention the word.

    An unbiased target whether a photo has one caption or five.
    """
    index = {word: i for i, word in enumerate(concepts)}
    share = np.zeros((len(pictures), len(concepts)), np.float32)
    for row, picture in enumerate(pictures):
        for caption in picture.captions:
            for word in set(stems(caption)) & index.keys():
                share[row, index[word]] += 1 / len(picture.captions)
    return share


def balance(photos: list[Picture], share: np.ndarray) -> np.ndarray:
    """How often to draw each photo, 1 on average, so that words become about as frequent as in the first ones.

    The newer photos lean towards a few kinds of objects; rooms and food would drown among them.
    """
    first = np.array(["more/" not in photo.file for photo in photos])
    shift = np.log((share[first].mean(0) + RARE) / (share.mean(0) + RARE))
    mentioned = (share > 0).astype(np.float32)
    mean = (mentioned @ shift) / np.maximum(mentioned.sum(1), 1)
    weight = np.exp(BALANCE * mean).clip(*DRAWN)
    return (weight / weight.mean()).astype(np.float32)
