"""Class names as texts, and which of them a caption mentions."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from batches import encode, pad
from concepts import stem
from data import Picture, load_pictures

DEFAULT_TEMPLATE = "a photo of a {}."
EVERYDAY = Path(__file__).parents[2] / "src/model/everyday.txt"
TEMPLATES = (DEFAULT_TEMPLATE, DEFAULT_TEMPLATE, DEFAULT_TEMPLATE, "{}.", "a {}.", "a picture of a {}.", "there is a {}.")


def unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def names_of(data: Path, name: str) -> list[str]:
    """The class names of `caltech` or `imagenet`, by the alphabet, or the product's default labels (`everyday`)."""
    if name == "everyday":
        return EVERYDAY.read_text(encoding="utf-8").splitlines()
    return sorted({p.label for p in load_pictures(data, name)})


def all_names(data: Path) -> list[str]:
    return unique([found for name in ("caltech", "imagenet", "everyday") for found in names_of(data, name)])


def phrase(text: str) -> str:
    """Stems between single spaces, so that a name is looked up as whole words."""
    return " " + " ".join(stem(word) for word in re.findall(r"[a-z0-9']+", text.lower())) + " "


def name_share(pictures: list[Picture], names: list[str]) -> np.ndarray:
    """f32 [pictures, names]: the share of a picture's captions that hold the name."""
    phrases = [phrase(name) for name in names]
    share = np.zeros((len(pictures), len(names)), np.float32)
    for row, picture in zip(share, pictures):
        for text in map(phrase, picture.captions):
            row += np.array([p in text for p in phrases], np.float32) / len(picture.captions)
    return share


def name_probability(names: list[str], concepts: list[str], probability: Tensor) -> Tensor:
    """[pictures, concepts] → [pictures, names]: the product over a name's words; 0 if one of them is no concept word."""
    column = {concept: i for i, concept in enumerate(concepts)}
    found = torch.zeros(len(probability), len(names))
    for i, name in enumerate(names):
        words = phrase(name).split()
        if all(word in column for word in words):
            found[:, i] = probability[:, [column[word] for word in words]].prod(1)
    return found


def name_ids(tokenizer: Tokenizer, names: list[str], template: str, context_length: int) -> Tensor:
    return pad(encode(tokenizer, [template.format(name) for name in names], context_length))


class NameTexts:
    """Every name under every template, tokenized once."""

    def __init__(self, tokenizer: Tokenizer, names: list[str], context_length: int) -> None:
        self.rows = [encode(tokenizer, [t.format(name) for name in names], context_length) for t in TEMPLATES]

    def draw(self, names: Tensor, rng: np.random.Generator) -> Tensor:
        """Token ids of the given names, each under a template drawn for it."""
        return pad([self.rows[rng.integers(len(TEMPLATES))][name] for name in names.tolist()])
