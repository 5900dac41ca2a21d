"""CIDEr-D (Vedantam, Zitnick, Parikh 2015) of sampled captions, and the share of their content words that a reference holds."""
from __future__ import annotations

import math
import re
from collections import Counter

from concepts import FUNCTION_WORDS, stem

LONGEST, SPREAD = 4, 6.0  # n-grams; standard deviation of the penalty on a difference in length
DOCUMENTS = 150  # rare n-grams weigh as much as they would among so many photos: those that the model is measured on
END_WORD = "."

Grams = Counter[tuple[str, ...]]
Vector = dict[tuple[str, ...], float]


def words_of(text: str) -> list[str]:
    """The words and an end mark, so that a caption that breaks off scores less than one that ends."""
    return [*re.findall(r"[a-z0-9']+", text.lower()), END_WORD]


def grams(words: list[str], n: int) -> Grams:
    return Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))


class Reference:
    """One caption with the weighted n-grams of each order, and their norms."""

    def __init__(self, words: list[str], vectors: list[Vector]) -> None:
        self.length, self.vectors = len(words), vectors
        self.norms = [norm(vector) for vector in vectors]


class Cider:
    """Scores captions of photos whose references are known; n-grams weigh by how few photos mention them."""

    def __init__(self, captions: list[list[str]]) -> None:
        self.words = [[words_of(text) for text in of_photo] for of_photo in captions]
        found = Counter(gram for of_photo in self.words
                        for gram in {gram for words in of_photo for n in range(1, LONGEST + 1) for gram in grams(words, n)})
        self.weight = {gram: -math.log(max(count / len(captions), 1 / DOCUMENTS)) for gram, count in found.items()}
        self.references = [[Reference(words, self.vectors(words)) for words in of_photo] for of_photo in self.words]
        self.stems = [{stem(word) for words in of_photo for word in words} for of_photo in self.words]

    def vectors(self, words: list[str]) -> list[Vector]:
        rarest = math.log(DOCUMENTS)
        return [{gram: count * self.weight.get(gram, rarest) for gram, count in grams(words, n).items()}
                for n in range(1, LONGEST + 1)]

    def score(self, photo: int, words: list[str]) -> float:
        """0 to 10, as the data folder's score.py has it but for the end mark."""
        vectors = self.vectors(words)
        norms = [norm(vector) for vector in vectors]
        total = 0.0
        for reference in self.references[photo]:
            alike = sum(likeness(vectors[i], reference.vectors[i]) / (norms[i] * reference.norms[i])
                        for i in range(LONGEST) if norms[i] and reference.norms[i])
            total += alike * math.exp(-((len(words) - reference.length) ** 2) / (2 * SPREAD ** 2))
        return 10 * total / LONGEST / len(self.references[photo])

    def precision(self, photo: int, words: list[str]) -> float:
        """The share of content words that any reference holds; 0 where there are none."""
        content = [stem(word) for word in words if word not in FUNCTION_WORDS and word != END_WORD]
        return sum(word in self.stems[photo] for word in content) / max(len(content), 1)


def norm(vector: Vector) -> float:
    return math.sqrt(sum(value * value for value in vector.values()))


def likeness(caption: Vector, reference: Vector) -> float:
    """Clipped: an n-gram said more often than in the reference earns nothing more."""
    return sum(min(value, reference[gram]) * reference[gram] for gram, value in caption.items() if gram in reference)
