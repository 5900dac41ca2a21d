"""All measures of one checkpoint, on the validation photos or the choosing split."""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from batches import encode, pad
from concepts import mention_share
from data import Picture, load_pictures
from export import CONCEPT_TOKENS, Pocket, load_quantised, load_trained
from features import VIEWS, load_features
from generate import DecodingSettings, caption
from names import DEFAULT_TEMPLATE, name_ids, name_share, names_of
from pixels import Pixels
from tokenizer import load_tokenizer
from train_concepts import average_precision, shows_room_or_food
from views import whole_views

BATCH, TOP = 25, 5


class Evaluation:
    """Embeddings, concepts and tokens are computed once for each set of pictures."""

    def __init__(self, data: Path, work: Path, model: Pocket, from_pixels: bool) -> None:
        self.data, self.work, self.model, self.from_pixels = data, work, model, from_pixels
        self.tokenizer = load_tokenizer(work)

    def pictures(self, name: str, split: str) -> tuple[list[Picture], list[int]]:
        items = load_pictures(self.data, name)
        rows = [i for i, p in enumerate(items) if p.split == split]
        return [items[i] for i in rows], rows

    @torch.no_grad()
    def seen(self, name: str, rows: list[int]) -> Tensor:
        if not self.from_pixels:
            return load_features(self.work, name)[VIEWS.index("whole"), rows].float()
        pixels = Pixels(self.work, name)
        batches = [rows[start:start + BATCH] for start in range(0, len(rows), BATCH)]
        return torch.cat([self.model.seen(whole_views([(pixels, row) for row in batch])) for batch in batches])

    @torch.no_grad()
    def name_embeddings(self, names: list[str]) -> Tensor:
        length = self.model.coca.config.context_length
        return self.model.coca.encode_text(name_ids(self.tokenizer, names, DEFAULT_TEMPLATE, length))

    @torch.no_grad()
    def caltech(self, split: str) -> float:
        names = names_of(self.data, "caltech")
        pictures, rows = self.pictures("caltech", split)
        embeddings = self.model.coca.encode_image(self.seen("caltech", rows))[0]
        best = (embeddings @ self.name_embeddings(names).T).argmax(1)
        return np.mean([names[b] == p.label for b, p in zip(best.tolist(), pictures)])

    def best_names(self, pictures: list[Picture], embeddings: Tensor, names: list[str]) -> str:
        best = (embeddings @ self.name_embeddings(names).T).topk(TOP).indices
        return in_captions(pictures, names, best.numpy())

    @torch.no_grad()
    def retrieval(self, pictures: list[Picture], embeddings: Tensor) -> float:
        """Text → photo recall@5, every caption a query."""
        owner = torch.tensor([i for i, p in enumerate(pictures) for _ in p.captions])
        length = self.model.coca.config.context_length
        texts = [c for p in pictures for c in p.captions]
        text = self.model.coca.encode_text(pad(encode(self.tokenizer, texts, length)))
        return ((text @ embeddings.T).topk(5).indices == owner[:, None]).any(1).float().mean().item()


def in_captions(pictures: list[Picture], names: list[str], best: np.ndarray) -> str:
    """Of the photos whose captions hold any name: the share whose best one, or one of the best, stands in a caption.

    `best` [pictures, TOP]: numbers of names.
    """
    mentioned = name_share(pictures, names) > 0
    right = np.take_along_axis(mentioned, best, 1)[mentioned.any(1)]
    return f"{right[:, 0].mean():.3f} / {right.any(1).mean():.3f} of {len(right)}"


def score_captions(data: Path, pictures: list[Picture], texts: list[str], out: Path) -> dict:
    """The data folder's own score of the captions, which are kept in `out`."""
    references = out.with_suffix(".references.jsonl")
    write_jsonl(out, [{"source": p.file, "caption": text} for p, text in zip(pictures, texts)])
    write_jsonl(references, [{"file": p.file, "captions": p.captions} for p in pictures])
    command = [sys.executable, str(data / "score.py"), "captions", str(out), str(references)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "choose", "flickr", "coco"), default="val")
    parser.add_argument("--checkpoint", default="pocket.pt")
    parser.add_argument("--int8", action="store_true", help="what the bundle stores: pixels through the rounded trunk, rounded weights")
    parser.add_argument("--beams", type=int, default=DecodingSettings.beams)
    parser.add_argument("--length-penalty", type=float, default=DecodingSettings.length_penalty)
    parser.add_argument("--concept-tokens", type=int, default=CONCEPT_TOKENS)
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = load_quantised(args.work, args.checkpoint)[0] if args.int8 else load_trained(args.work, args.checkpoint)
    model.coca.image.concept_tokens = args.concept_tokens
    run = Evaluation(args.data, args.work, model, args.int8)
    name = "val" if args.split == "val" else "photos"
    pictures, rows = run.pictures(name, args.split)
    seen = run.seen(name, rows)
    with torch.no_grad():
        embeddings, tokens = model.coca.encode_image(seen)
        precision = average_precision(model.coca.concept_head(seen), torch.from_numpy(mention_share(pictures, model.concepts)))
    inside = [shows_room_or_food(p) for p in pictures]
    print(f"concept words: average precision {precision.mean():.4f}; rooms and food {precision[inside].mean():.4f} of {sum(inside)}")
    print(f"everyday names {run.best_names(pictures, embeddings, names_of(args.data, 'everyday'))}")
    print(f"ImageNet names {run.best_names(pictures, embeddings, names_of(args.data, 'imagenet'))}")
    print(f"recall@5 {run.retrieval(pictures, embeddings):.4f}", flush=True)
    if args.split in ("val", "choose"):
        print(f"Caltech {run.caltech(args.split):.4f}", flush=True)
    texts = caption(model.coca, tokens, run.tokenizer, DecodingSettings(beams=args.beams, length_penalty=args.length_penalty))
    out = args.work / f"captions-{args.split}-{'int8' if args.int8 else 'f32'}.jsonl"
    print(score_captions(args.data, pictures, texts, out))
    pictures, texts = zip(*[(p, text) for p, text, shown in zip(pictures, texts, inside) if shown])
    print("rooms and food", score_captions(args.data, pictures, texts, out.with_stem(out.stem + "-inside")))


if __name__ == "__main__":
    main()
