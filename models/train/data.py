"""The pictures, captions and names of the data folder, and the splits made of them."""
from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

SPLIT_SEED = 7
CHOOSE_PHOTOS = 300
CHOOSE_MORE = 1000  # of each source
CHOOSE_CALTECH = 300


@dataclass
class Picture:
    """One picture with what is known about it: captions, or a class name."""

    file: str
    captions: list[str] = field(default_factory=list)
    label: str = ""
    split: str = "train"
    objects: list[str] | None = None  # COCO's categories 1 to 19, where somebody marked them


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def clean_sentence(text: str) -> str:
    """Lower case, single spaces, no space before punctuation, one full stop at the end."""
    text = text.lower().replace("\u2019", "'").replace("`", "'")
    text = re.sub(r"[\"“”()\[\]*_~<>|]", " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s+([.,;:!?'])", r"\1", text)
    return re.sub(r"[\s.,;:!?-]+$", "", text) + "."


def load_pictures(data: Path, name: str) -> list[Picture]:
    """`photos` (to train on, the newer ones last), `val`, `caltech` or `imagenet`, always in the files' order.

    Photos are split into `train`, `choose`, `flickr` (five captions each, like `choose`) and `coco` (one caption each).
    """
    if name == "photos":
        first = _with_choose_split(_captioned(data / "captions-train.jsonl", "train"))
        return first + _with_more_splits(_captioned(data / "captions-more.jsonl", "train"))
    if name == "val":
        return _captioned(data / "captions-val.jsonl", "val")
    if name == "caltech":
        rows = read_jsonl(data / "labels-caltech101.jsonl")
        pictures = [Picture(row["file"], label=row["label"], split=row["split"]) for row in rows]
        train = [p for p in pictures if p.split == "train"]
        for picture in random.Random(SPLIT_SEED).sample(train, CHOOSE_CALTECH):
            picture.split = "choose"
        return pictures
    if name == "imagenet":
        rows = read_jsonl(data / "labels-imagenet.jsonl")
        return [Picture(row["file"], label=row["label"].lower()) for row in rows]
    raise ValueError(f"unknown set of pictures: {name}")


def load_sentences(data: Path, everything: bool = False) -> list[str]:
    """All sentences to train on: those without pictures and the captions of photos, each once.

    Captions of photos that are held back are left out, wherever they stand.
    """
    photos = load_pictures(data, "photos")
    found = [clean_sentence(line) for line in (data / "sentences.txt").read_text(encoding="utf-8").splitlines() if line]
    found += [caption for p in photos for caption in p.captions]
    held = set() if everything else {caption for p in photos if p.split != "train" for caption in p.captions}
    return [text for text in dict.fromkeys(found) if text not in held]


def _captioned(path: Path, split: str) -> list[Picture]:
    return [
        Picture(row["file"], [clean_sentence(text) for text in row["captions"]], split=split, objects=row.get("labels"))
        for row in read_jsonl(path)
    ]


def _with_choose_split(pictures: list[Picture]) -> list[Picture]:
    """Some photos with five captions become a second validation set, on which settings are chosen."""
    several = [p for p in pictures if len(p.captions) >= 5]
    for picture in random.Random(SPLIT_SEED).sample(several, CHOOSE_PHOTOS):
        picture.split = "choose"
    return pictures


def _with_more_splits(pictures: list[Picture]) -> list[Picture]:
    """1,000 of the newer photos with five captions and 1,000 of those with one are held back too."""
    for split, found in (("flickr", [p for p in pictures if len(p.captions) > 1]),
                         ("coco", [p for p in pictures if len(p.captions) == 1])):
        for picture in random.Random(SPLIT_SEED).sample(found, CHOOSE_MORE):
            picture.split = split
    return pictures
