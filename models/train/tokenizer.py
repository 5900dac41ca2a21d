"""A lower-case byte-level BPE: every text has tokens, and frequent words are single ones."""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from data import load_pictures, load_sentences

PAD, START, END = 0, 1, 2
MARKS = ["<pad>", "<start>", "<end>"]
VOCABULARY = 6000
NAME_REPEATS = 20


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("\u2019", "'")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, min_frequency=2, special_tokens=MARKS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _without_added_tokens(tokenizer)


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """Keeps the marks' ids, but lets no text spell them: "<pad>" typed by a user is plain text."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(content))


def word_starts(tokenizer: Tokenizer) -> list[bool]:
    """For each id, whether the token begins a word (rather than going on with one)."""
    return [tokenizer.id_to_token(i).startswith("Ġ") for i in range(tokenizer.get_vocab_size())]


def load_tokenizer(work: Path) -> Tokenizer:
    return Tokenizer.from_file(str(work / "tokenizer.json"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    texts = load_sentences(args.data, everything=True)
    for name in ("caltech", "imagenet"):
        texts += NAME_REPEATS * sorted({p.label for p in load_pictures(args.data, name)})
    args.work.mkdir(parents=True, exist_ok=True)
    train_tokenizer(texts).save(str(args.work / "tokenizer.json"), pretty=False)


if __name__ == "__main__":
    main()
