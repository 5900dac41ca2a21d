"""Token batches, and the noisy concept words that stand for a picture when there is none."""
from __future__ import annotations

import random
from typing import Iterator

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from concepts import stems
from tokenizer import END, PAD, START

POOL_BATCHES = 50
BOOSTED_SHARE = 0.5
NO_CONCEPTS_SHARE = 0.05
LOOK_ALIKE_CANDIDATES = 48


def encode(tokenizer: Tokenizer, texts: list[str], context_length: int) -> list[list[int]]:
    """Start mark, tokens, end mark."""
    return [[START, *e.ids[: context_length - 2], END] for e in tokenizer.encode_batch(texts)]


def pad(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def similar_length_batches(lengths: list[int], size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of row numbers; rows of one batch have nearly the same length."""
    rng, rows = random.Random(seed), list(range(len(lengths)))
    while True:
        rng.shuffle(rows)
        for start in range(0, len(rows), size * POOL_BATCHES):
            pool = sorted(rows[start:start + size * POOL_BATCHES], key=lambda row: lengths[row])
            batches = [pool[i:i + size] for i in range(0, len(pool) - size + 1, size)]
            rng.shuffle(batches)
            yield from batches


class ConceptNoise:
    """Draws concept probabilities for a sentence as the concept head would give for its picture.

    Half of the sentences borrow the out-of-fold scores and confusions of a look-alike photo; in the
    others the true words are clearer than the head makes them, so that the decoder learns rare words.
    """

    def __init__(self, concepts: list[str], probability: np.ndarray, share: np.ndarray, seed: int) -> None:
        self.index = {word: i for i, word in enumerate(concepts)}
        self.probability = probability
        self.mentioned = [set(np.flatnonzero(row)) for row in share]
        self.photos_with = [np.flatnonzero(column) for column in share.T]
        self.rng = np.random.default_rng(seed)

    def words_of(self, text: str) -> list[int]:
        return sorted({self.index[w] for w in stems(text) if w in self.index})

    def draw(self, words: list[int]) -> np.ndarray:
        """f32 [concepts]"""
        kind = self.rng.random()
        if kind < NO_CONCEPTS_SHARE:
            return self.probability[self.rng.integers(len(self.probability))] * 0.0
        photo = self._look_alike(words)
        probability = self.probability[photo].copy()
        probability[[w for w in self.mentioned[photo] if w not in words]] *= 0.2
        for word in words:
            if kind < NO_CONCEPTS_SHARE + BOOSTED_SHARE:
                if self.rng.random() < 0.75:
                    probability[word] = self.rng.uniform(0.15, 0.95)
            else:
                donors = self.photos_with[word]
                donor = self.probability[donors[self.rng.integers(len(donors))], word] if len(donors) else 0.0
                probability[word] = max(probability[word], donor)
        return probability

    def _look_alike(self, words: list[int]) -> int:
        candidates = self.rng.integers(len(self.probability), size=LOOK_ALIKE_CANDIDATES)
        return max(candidates, key=lambda photo: len(self.mentioned[photo].intersection(words)))
