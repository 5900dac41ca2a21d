"""The embedding step: contrast and class names in large batches, with everything else fixed.

What the embedding layers read (what the trunk sees and concept probabilities; the end mark's row of a text) is computed
once. Only the layers that make embeddings of it are trained, so a step meets all names at once and costs little, and
captions stay as they are. Writes pocket.pt: the whole model but the trunk.
"""
from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from averages import average_into, mean_of
from batches import encode, pad
from checkpoints import save
from data import Picture, load_pictures
from features import load_features
from losses import class_loss, contrastive_loss, linear_schedule
from model import GRID_WIDTH, CoCa
from names import TEMPLATES, name_probability, name_share, names_of
from tokenizer import load_tokenizer

PHOTOS, CALTECH, IMAGENET = 768, 192, 96
RATE, WEIGHT_DECAY = 1e-3, 0.1
SEEN_DROPOUT, ROW_DROPOUT = 0.3, 0.15
WEIGHTS = {"contrast": 1.0, "named": 1.0, "everyday": 1.0, "classifier": 0.2, "caltech": 0.5, "imagenet": 0.3}
CONCEPTS_AS_CAPTIONS = 1.0  # the concept head's word counts like so many captions in what a photo is called
UNNAMED_SHARE = 0.3
TEXTS_AT_ONCE = 512


class ImageRows:
    """What the embedding layers read of one set's pictures; `usable` ones may be trained on."""

    def __init__(self, model: CoCa, work: Path, name: str, usable: list[int]) -> None:
        self.seen, self.usable, self.head = load_features(work, name), torch.tensor(usable), model.concept_head
        self.probability = torch.stack([self.believed(view) for view in self.seen])

    def believed(self, seen: Tensor) -> Tensor:
        return torch.cat([self.head(part.float()).sigmoid().half() for part in seen.split(TEXTS_AT_ONCE)])

    def draw(self, model: CoCa, count: int, rng: np.random.Generator, chance: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """(picture numbers, their embeddings), each of a view drawn for it, with dropout on what makes them."""
        rows = self.usable[torch.from_numpy(rng.choice(len(self.usable), count, replace=False, p=chance))]
        views = torch.from_numpy(rng.integers(len(self.seen), size=count))
        levelled = F.dropout(self.head.levelled(self.seen[views, rows].float()), SEEN_DROPOUT)
        embedding = model.image.embed(levelled, F.dropout(self.probability[views, rows].float(), ROW_DROPOUT))
        return rows, F.normalize(embedding, dim=-1)


class TextRows:
    """End-mark rows of texts, before the text head."""

    def __init__(self, model: CoCa, work: Path) -> None:
        self.model, self.tokenizer = model, load_tokenizer(work)

    def of(self, texts: list[str]) -> Tensor:
        """f32 [texts, D]; texts of one length together, so that few marks are only padding."""
        ids = encode(self.tokenizer, texts, self.model.config.context_length)
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        rows = torch.zeros(len(ids), self.model.config.width)
        for start in range(0, len(ids), TEXTS_AT_ONCE):
            chosen = order[start:start + TEXTS_AT_ONCE]
            batch = pad([ids[row] for row in chosen])
            rows[chosen] = self.model.end_rows(batch, self.model.unimodal_states(batch))
        return rows

    def of_names(self, names: list[str]) -> Tensor:
        """[templates, names, D]; the default template occurs as often as it is drawn."""
        rows = {template: self.of([template.format(name) for name in names]) for template in dict.fromkeys(TEMPLATES)}
        return torch.stack([rows[template] for template in TEMPLATES])


class EmbeddingData:
    @torch.no_grad()
    def __init__(self, data: Path, work: Path, model: CoCa, concepts: list[str], everything: bool) -> None:
        texts, pictures = TextRows(model, work), {name: load_pictures(data, name) for name in ("photos", "caltech", "imagenet")}
        self.sets = {name: ImageRows(model, work, name, [i for i, p in enumerate(items) if everything or p.split == "train"])
                     for name, items in pictures.items() if name != "caltech"}
        usable = [i for i, p in enumerate(pictures["caltech"]) if p.split == "train" or (everything and p.split == "choose")]
        self.sets["caltech"] = ImageRows(model, work, "caltech", usable)
        names = {name: names_of(data, name) for name in ("caltech", "imagenet", "everyday")}
        self.names = {name: texts.of_names(of_set) for name, of_set in names.items()}
        self.labels = {name: torch.tensor([names[name].index(p.label) for p in pictures[name]]) for name in ("caltech", "imagenet")}
        photos = pictures["photos"]
        self.captions = texts.of([c for p in photos for c in p.captions])
        counts = np.array([len(p.captions) for p in photos])
        self.first_caption, self.caption_count = np.cumsum(counts) - counts, counts
        self.classifier = self.classifier_of(work, len(names["imagenet"]))
        self.named, named = self.name_targets(photos, names["imagenet"], concepts)
        self.everyday, everyday = self.name_targets(photos, names["everyday"], concepts)
        chance = (torch.maximum(named, everyday)[self.sets["photos"].usable].clamp(max=1) + UNNAMED_SHARE).numpy().astype(np.float64)
        self.chance = chance / chance.sum()

    def classifier_of(self, work: Path, names: int) -> Tensor:
        """What the trunk's own ImageNet classifier says of each photo."""
        heads, mean = torch.load(work / "trunk.pt")["heads"], self.sets["photos"].seen[0, :, :GRID_WIDTH].float()
        classes = (mean @ heads["imagenet.weight"].T + heads["imagenet.bias"]).softmax(-1)
        return torch.zeros(len(mean), names).index_add_(1, self.labels["imagenet"], classes)

    def name_targets(self, photos: list[Picture], names: list[str], concepts: list[str]) -> tuple[Tensor, Tensor]:
        """Distributions over the names for all photos, and how many names each photo's captions hold on average.

        One caption says little about what a photo lacks: the concept head's word counts like some captions more.
        """
        captions = torch.tensor([float(len(p.captions)) for p in photos])[:, None]
        believed = name_probability(names, concepts, self.sets["photos"].probability.float().mean(0))
        share = (captions * torch.from_numpy(name_share(photos, names)) + CONCEPTS_AS_CAPTIONS * believed) / (captions + CONCEPTS_AS_CAPTIONS)
        total = share.sum(1)
        return share / total[:, None].clamp(min=1e-6), total

    def draw_names(self, model: CoCa, name: str) -> Tensor:
        """Embeddings of all names of one set, under a template drawn for them together."""
        return model.embed_text(self.names[name][self.rng.integers(len(TEMPLATES))])

    def draw_captions(self, model: CoCa, photos: Tensor) -> Tensor:
        rows = self.first_caption[photos] + (self.rng.random(len(photos)) * self.caption_count[photos]).astype(int)
        return model.embed_text(F.dropout(self.captions[torch.from_numpy(rows)], ROW_DROPOUT))


def embedding_losses(model: CoCa, data: EmbeddingData) -> dict[str, Tensor]:
    sets, rng, scale = data.sets, data.rng, model.scale()
    imagenet, caltech, everyday = (data.draw_names(model, name) for name in ("imagenet", "caltech", "everyday"))
    photos, image = sets["photos"].draw(model, PHOTOS, rng, data.chance)
    losses = {"contrast": contrastive_loss(scale, image, data.draw_captions(model, photos)),
              "named": class_loss(scale, image, imagenet, data.named[photos]),
              "everyday": class_loss(scale, image, everyday, data.everyday[photos]),
              "classifier": class_loss(scale, image, imagenet, data.classifier[photos])}
    pictures, image = sets["caltech"].draw(model, CALTECH, rng)
    losses["caltech"] = class_loss(scale, image, caltech, data.labels["caltech"][pictures])
    pictures, image = sets["imagenet"].draw(model, IMAGENET, rng)
    losses["imagenet"] = class_loss(scale, image, imagenet, data.labels["imagenet"][pictures])
    return losses


def embedding_parameters(model: CoCa) -> list[torch.nn.Parameter]:
    image = model.image
    layers = (image.expand, image.hidden_embedding, image.mean_embedding, image.concept_embedding, model.text)
    return [model.logit_scale, *(p for layer in layers for p in layer.parameters())]


def fit(start: CoCa, data: EmbeddingData, steps: int, seed: int) -> CoCa:
    """Trains the embedding layers of a copy; returns the average of its weights over the steps."""
    torch.manual_seed(seed)
    data.rng = np.random.default_rng(seed)
    model, averaged = copy.deepcopy(start), copy.deepcopy(start)
    optimizer = torch.optim.AdamW(embedding_parameters(model), lr=RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
    schedule = linear_schedule(optimizer, steps)
    for step in range(steps):
        losses = embedding_losses(model, data)
        optimizer.zero_grad()
        sum(WEIGHTS[key] * loss for key, loss in losses.items()).backward()
        optimizer.step()
        schedule.step()
        average_into(averaged, model, step)
        if step % 100 == 0:
            print(f"step {step} " + " ".join(f"{key} {loss.item():.2f}" for key, loss in losses.items()), flush=True)
    return averaged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", default="pocket.pt", help="a file of the work folder")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=2, help="runs whose weights are averaged")
    parser.add_argument("--everything", action="store_true", help="train on the choosing splits too")
    args = parser.parse_args()
    torch.set_num_threads(2)
    saved, found = torch.load(args.work / "captions.pt", weights_only=False), torch.load(args.work / "concepts.pt")
    torch.manual_seed(0)
    start = CoCa(saved["config"])
    start.load_state_dict(saved["model"])
    start.concept_head.load_state_dict(found["head"])
    start.eval()
    data = EmbeddingData(args.data, args.work, start, found["concepts"], args.everything)
    model = mean_of([fit(start, data, args.steps, seed) for seed in range(args.seeds)])
    save({"config": start.config, "concepts": found["concepts"], "model": model.state_dict()}, args.work / args.out)


if __name__ == "__main__":
    main()
