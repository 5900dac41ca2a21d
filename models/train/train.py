"""The joint step: contrast and captions of photos, class names, and sentences replayed.

Starts from pretrained.pt with the frozen trunk's cached features; writes trained.pt (averaged weights).
"""
from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from batches import encode, pad
from data import load_pictures
from features import load_features
from model import CoCa
from names import NameTexts, name_share, soft_targets, unique
from precision import autocast
from pretrain import SentenceSource, caption_loss, contrastive_loss, linear_schedule, sentence_losses
from tokenizer import load_tokenizer
from trunk import load_pretrained

PAIRS, SENTENCES, CALTECH, IMAGENET = 48, 24, 24, 12
NAME_NEGATIVES = 80
LEARNING_RATE, TEXT_FACTOR = 1e-3, 0.3
WEIGHT_DECAY = 0.05
AVERAGE = 0.99
FEATURE_DROPOUT = 0.15
WEIGHTS = {"captions": 1.0, "contrast": 0.5, "sentences": 0.5, "caltech": 0.5, "imagenet": 0.4, "photo names": 0.4}
TEACHER_SHARE = 0.3
VIEWS = ("whole", "flip")


class PictureSet:
    """Cached grids, concept logits and classifier probabilities of one set; `rows` may be trained on."""

    def __init__(self, work: Path, name: str, rows: list[int], logits: Tensor, classifier: torch.nn.Linear) -> None:
        self.grids = [load_features(work, name, view) for view in VIEWS]
        self.rows, self.logits = np.array(rows), logits
        mean = torch.from_numpy(self.grids[0].mean(1, dtype=np.float32))
        with torch.no_grad():
            self.teacher = classifier(mean).softmax(-1)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, Tensor, Tensor]:
        """(rows, grids with feature dropout, concept logits), each in a view drawn for it."""
        rows = np.sort(rng.choice(self.rows, count, replace=False))
        views = rng.integers(len(VIEWS), size=count)
        grid = torch.from_numpy(np.stack([self.grids[v][r] for r, v in zip(rows, views)])).float()
        kept = F.dropout(torch.ones(count, 1, grid.shape[2]), FEATURE_DROPOUT)
        return rows, grid * kept, self.logits[torch.from_numpy(rows), torch.from_numpy(views)]


class JointData:
    def __init__(self, data: Path, work: Path, context_length: int, everything: bool, seed: int) -> None:
        tokenizer, found = load_tokenizer(work), torch.load(work / "concepts.pt")
        _, classifier = load_pretrained()
        self.rng = np.random.default_rng(seed)
        pictures = {name: load_pictures(data, name) for name in ("photos", "caltech", "imagenet")}
        usable = ("train", "choose") if everything else ("train",)
        self.sets = {
            name: PictureSet(work, name, [i for i, p in enumerate(items) if p.split in usable],
                             found[f"{name.removesuffix('s')}_logits"], classifier)
            for name, items in pictures.items()
        }
        self.captions = [encode(tokenizer, p.captions, context_length) for p in pictures["photos"]]
        self.caltech_names = unique(sorted(p.label for p in pictures["caltech"]))
        self.caltech_label = torch.tensor([self.caltech_names.index(p.label) for p in pictures["caltech"]])
        imagenet_names = [p.label for p in pictures["imagenet"]]
        self.texts = {"caltech": NameTexts(tokenizer, self.caltech_names, context_length),
                      "imagenet": NameTexts(tokenizer, imagenet_names, context_length)}
        self.mentioned = torch.from_numpy(name_share(pictures["photos"], imagenet_names) > 0)
        self.sentences = SentenceSource(data, work, context_length, SENTENCES, everything, seed)

    def draw_captions(self, rows: np.ndarray) -> Tensor:
        return pad([self.captions[r][self.rng.integers(len(self.captions[r]))] for r in rows])

    def draw_names(self, labels: Tensor, teacher: Tensor, mentioned: Tensor) -> Tensor:
        """ImageNet names for one step: those the pictures need, and others against them."""
        needed = torch.cat([labels, teacher.topk(2).indices.flatten(), mentioned.any(0).nonzero()[:, 0]])
        others = torch.from_numpy(self.rng.choice(teacher.shape[1], NAME_NEGATIVES, replace=False))
        return torch.cat([needed, others]).unique()


def soft_cross_entropy(scale: Tensor | float, image: Tensor, text: Tensor, target: Tensor) -> Tensor:
    logits = scale * image.float() @ text.float().T
    return -(target * logits.log_softmax(-1)).sum(1).mean()


def joint_losses(model: CoCa, data: JointData) -> dict[str, Tensor]:
    photos, caltech, imagenet = (data.sets[name] for name in ("photos", "caltech", "imagenet"))
    drawn = [s.draw(n, data.rng) for s, n in ((photos, PAIRS), (caltech, CALTECH), (imagenet, IMAGENET))]
    embeddings, tokens = model.encode_with_concepts(torch.cat([d[1] for d in drawn]), torch.cat([d[2] for d in drawn]))
    of_photos, of_caltech, of_imagenet = embeddings.split([PAIRS, CALTECH, IMAGENET])
    photo_rows, caltech_rows, imagenet_rows = (torch.from_numpy(d[0]) for d in drawn)

    ids = data.draw_captions(drawn[0][0])
    states = model.unimodal_states(ids)
    logits = model.next_token_logits(states[:, :-1], model.cross_kv(tokens[:PAIRS]))
    losses = {"captions": caption_loss(logits, ids),
              "contrast": contrastive_loss(model, of_photos, model.pool_text(ids, states))}
    losses["sentences"], replayed_contrast = sentence_losses(model, *data.sentences.next())
    losses["contrast"] = losses["contrast"] + 0.3 * replayed_contrast

    all_caltech = torch.arange(len(data.caltech_names))
    text = model.encode_text(data.texts["caltech"].draw(all_caltech, data.rng))
    losses["caltech"] = F.cross_entropy(model.scale() * of_caltech.float() @ text.float().T,
                                        data.caltech_label[caltech_rows])

    mentioned = data.mentioned[photo_rows]
    names = data.draw_names(imagenet_rows, photos.teacher[photo_rows], mentioned)
    text = model.encode_text(data.texts["imagenet"].draw(names, data.rng))
    labels = F.one_hot(imagenet_rows, imagenet.teacher.shape[1])
    for key, embedding, teacher, marked in (
        ("imagenet", of_imagenet, imagenet.teacher[imagenet_rows], labels),
        ("photo names", of_photos, photos.teacher[photo_rows], mentioned),
    ):
        target = soft_targets(teacher, marked, names, TEACHER_SHARE)
        losses[key] = soft_cross_entropy(model.scale(), embedding, text, target)
    return losses


def parameter_groups(model: CoCa) -> list[dict]:
    """The image head learns from scratch; text and decoder only adapt. The concept head is done."""
    model.concept_head.requires_grad_(False)
    fresh = [*model.image.parameters(), model.logit_scale]
    known = {id(p) for p in fresh}
    adapted = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    return [{"params": fresh, "lr": LEARNING_RATE}, {"params": adapted, "lr": LEARNING_RATE * TEXT_FACTOR}]


@torch.no_grad()
def average_into(averaged: CoCa, model: CoCa, step: int) -> None:
    keep = min(AVERAGE, (1 + step) / (10 + step))
    for mean, value in zip(averaged.parameters(), model.parameters()):
        mean.lerp_(value, 1 - keep)


def load_pretrained_model(work: Path) -> CoCa:
    saved, found = torch.load(work / "pretrained.pt", weights_only=False), torch.load(work / "concepts.pt")
    model = CoCa(saved["config"])
    model.load_state_dict(saved["model"])
    model.concept_head.load_state_dict(found["head"])
    torch.nn.init.zeros_(model.image.pooled_embedding.weight)  # the mean feature starts alone
    return model.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=560)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="trained.pt", help="a file of the work folder")
    parser.add_argument("--everything", action="store_true", help="train on the choosing split too")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = load_pretrained_model(args.work)
    data = JointData(args.data, args.work, model.config.context_length, args.everything, args.seed)
    averaged = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(parameter_groups(model), betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
    schedule = linear_schedule(optimizer, args.steps)
    start = time.time()
    for step in range(args.steps):
        with autocast():
            losses = joint_losses(model, data)
        optimizer.zero_grad()
        sum(WEIGHTS[key] * loss for key, loss in losses.items()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average_into(averaged, model, step)
        if step % 20 == 0:
            shown = " ".join(f"{key} {loss.item():.2f}" for key, loss in losses.items())
            print(f"step {step} {shown} {time.time() - start:.0f} s", flush=True)
        if step % 50 == 49 or step == args.steps - 1:
            torch.save({"config": model.config, "model": averaged.state_dict()}, args.work / args.out)


if __name__ == "__main__":
    main()
