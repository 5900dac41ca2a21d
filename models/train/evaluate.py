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
from data import Picture, load_pictures
from export import Pocket, load_quantised, load_trained
from features import load_features, load_middle, load_view
from generate import DecodingSettings, caption
from names import DEFAULT_TEMPLATE, name_ids, name_share, unique
from tokenizer import load_tokenizer

BATCH = 25


class Evaluation:
    """Embeddings and tokens are computed once for each set of pictures."""

    def __init__(self, data: Path, work: Path, model: Pocket, from_pixels: bool) -> None:
        self.data, self.work, self.model, self.from_pixels = data, work, model, from_pixels
        self.tokenizer = load_tokenizer(work)

    def pictures(self, name: str, split: str) -> tuple[list[Picture], list[int]]:
        items = load_pictures(self.data, name)
        rows = [i for i, p in enumerate(items) if p.split == split]
        return [items[i] for i in rows], rows

    @torch.no_grad()
    def encode(self, name: str, pictures: list[Picture], rows: list[int]) -> tuple[Tensor, Tensor]:
        parts = []
        for start in range(0, len(rows), BATCH):
            if self.from_pixels:
                views = [load_view(self.data, p, "whole") for p in pictures[start:start + BATCH]]
                features = self.model.features(torch.from_numpy(np.stack(views)).to(memory_format=torch.channels_last))
            else:
                batch = rows[start:start + BATCH]
                features = (torch.from_numpy(load_features(self.work, name)[batch]).float(),
                            torch.from_numpy(load_middle(self.work, name)[batch]))
            parts.append(self.model.coca.encode_image(*features))
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])

    @torch.no_grad()
    def name_embeddings(self, names: list[str]) -> Tensor:
        length = self.model.coca.config.context_length
        return self.model.coca.encode_text(name_ids(self.tokenizer, names, DEFAULT_TEMPLATE, length))

    def caltech(self, split: str) -> float:
        names = unique(sorted(p.label for p in load_pictures(self.data, "caltech")))
        pictures, rows = self.pictures("caltech", split)
        best = (self.encode("caltech", pictures, rows)[0] @ self.name_embeddings(names).T).argmax(1)
        return np.mean([names[b] == p.label for b, p in zip(best.tolist(), pictures)])

    def imagenet_names(self, pictures: list[Picture], embeddings: Tensor) -> tuple[float, int]:
        """Of the photos whose captions hold any name: the share whose best name is one, and their number."""
        names = unique([p.label for p in load_pictures(self.data, "imagenet")])
        mentioned = name_share(pictures, names) > 0
        best = (embeddings @ self.name_embeddings(names).T).argmax(1).numpy()
        named = mentioned.any(1)
        return mentioned[np.arange(len(best)), best][named].mean(), int(named.sum())

    @torch.no_grad()
    def retrieval(self, pictures: list[Picture], embeddings: Tensor) -> float:
        """Text → photo recall@5, every caption a query."""
        owner = torch.tensor([i for i, p in enumerate(pictures) for _ in p.captions])
        length = self.model.coca.config.context_length
        texts = [c for p in pictures for c in p.captions]
        text = self.model.coca.encode_text(pad(encode(self.tokenizer, texts, length)))
        return ((text @ embeddings.T).topk(5).indices == owner[:, None]).any(1).float().mean().item()

    def captions(self, pictures: list[Picture], tokens: Tensor, settings: DecodingSettings, out: Path) -> dict:
        """The data folder's own score of the captions, which are kept in `out`."""
        texts = caption(self.model.coca, tokens, self.tokenizer, settings)
        references = out.with_suffix(".references.jsonl")
        write_jsonl(out, [{"source": p.file, "caption": text} for p, text in zip(pictures, texts)])
        write_jsonl(references, [{"file": p.file, "captions": p.captions} for p in pictures])
        command = [sys.executable, str(self.data / "score.py"), "captions", str(out), str(references)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "choose"), default="val")
    parser.add_argument("--checkpoint", default="captions.pt")
    parser.add_argument("--int8", action="store_true", help="the stored weights, and pixels through the rounded trunk")
    parser.add_argument("--beams", type=int, default=DecodingSettings.beams)
    parser.add_argument("--length-penalty", type=float, default=DecodingSettings.length_penalty)
    args = parser.parse_args()
    path = args.work / args.checkpoint
    model = load_quantised(path)[0] if args.int8 else load_trained(path)
    run = Evaluation(args.data, args.work, model, args.int8)
    pictures, rows = run.pictures("val" if args.split == "val" else "photos", args.split)
    embeddings, tokens = run.encode("val" if args.split == "val" else "photos", pictures, rows)
    share, named = run.imagenet_names(pictures, embeddings)
    print(f"caltech {run.caltech(args.split):.4f}  imagenet names {share:.4f} of {named}  "
          f"recall@5 {run.retrieval(pictures, embeddings):.4f}", flush=True)
    settings = DecodingSettings(beams=args.beams, length_penalty=args.length_penalty)
    out = args.work / f"captions-{args.split}-{'int8' if args.int8 else 'f32'}.jsonl"
    print(run.captions(pictures, tokens, settings, out))


if __name__ == "__main__":
    main()
