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
KEPT_SHARE = 0.9
TRUE, WRONG, UNSEEN = (0.25, 0.95), (0.03, 0.5), 1e-4  # probabilities
WRONG_WORDS = (2, 6)
NO_CONCEPTS_SHARE = 0.05


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
    """Draws concept probabilities for a sentence, as a picture of it might have: its words clear, a few wrong ones beside them.

    Clearer than the concept head makes them: a decoder that is told the head's own doubts learns to say what is
    frequent instead of what it reads.
    """

    def __init__(self, concepts: list[str], frequency: np.ndarray, seed: int) -> None:
        """`frequency` [concepts]: the share of pictures that each word is seen in; wrong words are drawn by it."""
        self.index = {word: i for i, word in enumerate(concepts)}
        self.log_frequency = np.log(frequency + 1e-4)
        self.rng = np.random.default_rng(seed)

    def words_of(self, text: str) -> list[int]:
        return sorted({self.index[w] for w in stems(text) if w in self.index})

    def draw(self, words: list[int]) -> np.ndarray:
        """f32 [concepts]"""
        rng = self.rng
        probability = rng.uniform(0.0, UNSEEN, len(self.log_frequency)).astype(np.float32)
        if rng.random() < NO_CONCEPTS_SHARE:
            return np.zeros_like(probability)
        wrong = rng.gumbel(size=len(probability)) + self.log_frequency
        wrong[words] = -np.inf
        count = rng.integers(WRONG_WORDS[0], WRONG_WORDS[1] + 1)
        probability[np.argpartition(-wrong, count)[:count]] = WRONG[0] + (WRONG[1] - WRONG[0]) * rng.random(count) ** 1.5
        for word in words:
            if rng.random() < KEPT_SHARE:
                probability[word] = rng.uniform(*TRUE)
        return probability
