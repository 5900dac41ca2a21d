"""The embedding step: contrast and class names in large batches, with everything else fixed.

What the embedding layers read (pooled query, mean feature, concept probabilities; the end mark's row of a
text) is computed once. Only the layers that make embeddings of it are trained, so a step meets all names
at once and costs little, and captions stay as they are.
"""
from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from batches import encode, pad
from data import Picture, load_pictures
from export import load_trained
from model import CoCa, ConceptHead
from names import TEMPLATES, name_probability, name_share, unique
from pretrain import contrastive_loss, linear_schedule
from rows import load_rows
from tokenizer import load_tokenizer
from train import average_into, soft_cross_entropy
from trunk import load_pretrained

PHOTOS, CALTECH, IMAGENET = 192, 128, 64
IMAGE_RATE, CONCEPT_RATE, TEXT_RATE, WEIGHT_DECAY = 3e-4, 1e-3, 5e-4, 0.05
MEAN_DROPOUT, ROW_DROPOUT = 0.3, 0.15
LABEL_SMOOTHING = 0.1
WEIGHTS = {"contrast": 0.5, "named": 1.5, "classifier": 0.2, "caltech": 0.5, "imagenet": 0.5,
           "caltech as before": 1.0, "photos as before": 0.5}
CONCEPTS_AS_CAPTIONS = 1.0
UNNAMED_SHARE = 0.1
TEXTS_AT_ONCE = 256


@dataclass
class ImageRows:
    """What the embedding layers read of one set's pictures: [views, pictures, …]."""

    pooled: Tensor
    mean: Tensor
    probability: Tensor
    usable: Tensor

    @classmethod
    def load(cls, work: Path, name: str, head: ConceptHead, out_of_fold: Tensor | None, usable: list[int]) -> ImageRows:
        """`out_of_fold`: logits [pictures, views, concepts] of pictures that `head` was trained on."""
        rows = {kind: torch.from_numpy(values) for kind, values in load_rows(work, name).items()}
        if out_of_fold is None:
            logits = head(torch.cat([rows["mean"], rows["middle"]], -1))
        else:
            logits = out_of_fold.transpose(0, 1)
        return cls(rows["pooled"], rows["mean"], logits.sigmoid(), torch.tensor(usable))

    def draw(self, model: CoCa, count: int, rng: np.random.Generator, chance: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """(picture numbers, their embeddings), each of a view drawn for it, with dropout on what makes them."""
        rows = self.usable[torch.from_numpy(rng.choice(len(self.usable), count, replace=False, p=chance))]
        views = torch.from_numpy(rng.integers(len(self.mean), size=count))
        kept = F.dropout(torch.ones(self.mean.shape[2]), MEAN_DROPOUT)
        embedding = model.image.embed(F.dropout(self.pooled[views, rows], ROW_DROPOUT), self.mean[views, rows] * kept,
                                      F.dropout(self.probability[views, rows], ROW_DROPOUT))
        return rows, F.normalize(embedding, dim=-1)

    def embed(self, model: CoCa) -> Tensor:
        """[pictures, E], the mean of both views."""
        return F.normalize(model.image.embed(self.pooled, self.mean, self.probability), dim=-1).mean(0)


class TextRows:
    """End-mark rows of texts, before the final norm."""

    def __init__(self, model: CoCa, work: Path) -> None:
        self.model, self.tokenizer = model, load_tokenizer(work)

    def of(self, texts: list[str]) -> Tensor:
        ids = encode(self.tokenizer, texts, self.model.config.context_length)
        batches = [pad(ids[start:start + TEXTS_AT_ONCE]) for start in range(0, len(ids), TEXTS_AT_ONCE)]
        return torch.cat([self.model.end_rows(batch, self.model.unimodal_states(batch)) for batch in batches])

    def of_names(self, names: list[str]) -> Tensor:
        """[templates, names, D]; the default template occurs as often as it is drawn."""
        rows = {template: self.of([template.format(name) for name in names]) for template in dict.fromkeys(TEMPLATES)}
        return torch.stack([rows[template] for template in TEMPLATES])


class EmbeddingData:
    @torch.no_grad()
    def __init__(self, data: Path, work: Path, model: CoCa, everything: bool) -> None:
        texts = TextRows(model, work)
        found, (_, classifier) = torch.load(work / "concepts.pt"), load_pretrained()
        splits = ("train", "choose") if everything else ("train",)
        pictures = {name: load_pictures(data, name) for name in ("photos", "caltech", "imagenet")}
        self.sets = {
            name: ImageRows.load(work, name, model.concept_head, found["photo_logits"] if name == "photos" else None,
                                 [i for i, p in enumerate(items) if p.split in splits])
            for name, items in pictures.items()
        }
        photos, imagenet = pictures["photos"], [p.label for p in pictures["imagenet"]]
        names, caltech = unique(imagenet), unique(sorted(p.label for p in pictures["caltech"]))
        self.names, self.caltech_names = texts.of_names(names), texts.of_names(caltech)
        self.labels = {"imagenet": torch.tensor([names.index(label) for label in imagenet]),
                       "caltech": torch.tensor([caltech.index(p.label) for p in pictures["caltech"]])}
        self.captions = texts.of([c for p in photos for c in p.captions]).split([len(p.captions) for p in photos])
        classes = classifier(self.sets["photos"].mean[0]).softmax(-1)
        self.classifier = torch.zeros(len(photos), len(names)).index_add_(1, self.labels["imagenet"], classes)
        self.named, self.chance = self.name_targets(photos, names, found["concepts"])
        texts, self.scale = model.embed_text(self.caltech_names[0]), model.scale().item()
        self.before = {name: (self.scale * self.sets[name].embed(model) @ texts.T).softmax(-1) for name in ("photos", "caltech")}

    def name_targets(self, photos: list[Picture], names: list[str], concepts: list[str]) -> tuple[Tensor, np.ndarray]:
        """Distributions over the names for all photos, and how often each usable photo is drawn.

        One caption says little about what a photo lacks: the concept head's out-of-fold word counts like some captions more.
        """
        captions = torch.tensor([float(len(p.captions)) for p in photos])[:, None]
        believed = name_probability(names, concepts, self.sets["photos"].probability.mean(0))
        share = (captions * torch.from_numpy(name_share(photos, names)) + CONCEPTS_AS_CAPTIONS * believed) / (captions + CONCEPTS_AS_CAPTIONS)
        total = share.sum(1, keepdim=True)
        chance = (total[self.sets["photos"].usable, 0].clamp(max=1) + UNNAMED_SHARE).numpy().astype(np.float64)
        return share / total.clamp(min=1e-6), chance / chance.sum()

    def template(self, rows: Tensor) -> Tensor:
        return rows[self.rng.integers(len(TEMPLATES))]

    def draw_captions(self, photos: Tensor) -> Tensor:
        return torch.stack([self.captions[p][self.rng.integers(len(self.captions[p]))] for p in photos.tolist()])


def embedding_losses(model: CoCa, data: EmbeddingData) -> dict[str, Tensor]:
    sets, rng = data.sets, data.rng
    names, caltech_names = model.embed_text(data.template(data.names)), model.embed_text(data.template(data.caltech_names))
    photos, image = sets["photos"].draw(model, PHOTOS, rng, data.chance)
    losses = {"contrast": contrastive_loss(model, image, model.embed_text(data.draw_captions(photos))),
              "named": soft_cross_entropy(model.scale(), image, names, data.named[photos]),
              "classifier": soft_cross_entropy(model.scale(), image, names, data.classifier[photos]),
              "photos as before": soft_cross_entropy(data.scale, image, caltech_names, data.before["photos"][photos])}
    pictures, image = sets["caltech"].draw(model, CALTECH, rng)
    losses["caltech"] = class_loss(model, image, caltech_names, data.labels["caltech"][pictures])
    losses["caltech as before"] = soft_cross_entropy(data.scale, image, caltech_names, data.before["caltech"][pictures])
    pictures, image = sets["imagenet"].draw(model, IMAGENET, rng)
    losses["imagenet"] = class_loss(model, image, names, data.labels["imagenet"][pictures])
    return losses


def class_loss(model: CoCa, image: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model.scale() * image @ texts.T, labels, label_smoothing=LABEL_SMOOTHING)


def parameter_groups(model: CoCa) -> list[dict]:
    """The mean feature has far more entries than photos exist: its layer may move least."""
    image = model.image
    groups = ((IMAGE_RATE, (image.pooled_embedding, image.mean_embedding)), (CONCEPT_RATE, (image.concept_embedding,)),
              (TEXT_RATE, (model.norm_text, model.text_embedding)))
    return [{"params": [model.logit_scale], "lr": TEXT_RATE},
            *({"params": [p for layer in layers for p in layer.parameters()], "lr": rate} for rate, layers in groups)]


def fit(start: CoCa, data: EmbeddingData, steps: int, seed: int) -> CoCa:
    """Trains the embedding layers of a copy; returns the average of its weights over the steps."""
    torch.manual_seed(seed)
    data.rng = np.random.default_rng(seed)
    model, averaged = copy.deepcopy(start), copy.deepcopy(start)
    optimizer = torch.optim.AdamW(parameter_groups(model), betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
    schedule = linear_schedule(optimizer, steps)
    for step in range(steps):
        losses = embedding_losses(model, data)
        optimizer.zero_grad()
        sum(WEIGHTS[key] * loss for key, loss in losses.items()).backward()
        optimizer.step()
        schedule.step()
        average_into(averaged, model, step)
        if step % 25 == 0:
            print(f"step {step} " + " ".join(f"{key} {loss.item():.2f}" for key, loss in losses.items()), flush=True)
    return averaged


@torch.no_grad()
def mean_of(models: list[CoCa]) -> CoCa:
    """Runs from one start end near enough to each other and to it that their weights can be averaged."""
    mean = copy.deepcopy(models[0])
    for values in zip(mean.parameters(), *(model.parameters() for model in models)):
        values[0].copy_(torch.stack(values[1:]).mean(0))
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--start", default="trained.pt", help="a checkpoint of the work folder")
    parser.add_argument("--out", default="embedded.pt", help="a file of the work folder")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=2, help="runs whose weights are averaged, the start's among them")
    parser.add_argument("--everything", action="store_true", help="train on the choosing split too")
    args = parser.parse_args()
    start = load_trained(args.work / args.start).coca
    start.concept_head.load_state_dict(torch.load(args.work / "concepts.pt")["head"])
    data = EmbeddingData(args.data, args.work, start, args.everything)
    averaged = mean_of([start, *(fit(start, data, args.steps, seed) for seed in range(args.seeds))])
    torch.save({"config": start.config, "model": averaged.state_dict()}, args.work / args.out)


if __name__ == "__main__":
    main()
