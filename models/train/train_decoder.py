"""The decoder: once more from nothing, on sentences and their noisy concept words, behind the text layers as they are.

It reads concept words alone. Photos and their captions don't help it: taught with what the concept head really believes
of a photo, it hedges. Embeddings stay as they are.
"""
from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import torch

from export import load_trained
from model import CoCa, Config
from precision import autocast
from pretrain import SentenceSource, caption_loss, linear_schedule
from train import average_into

SEED = 0
BATCH = 128
LEARNING_RATE, WEIGHT_DECAY = 1.2e-3, 0.05
TEXT_DROPOUT = 0.15  # of the frozen text layers; the decoder has the model's own
CONCEPT_TOKENS = Config.concept_tokens


def renew_decoder(model: CoCa) -> list[torch.nn.Parameter]:
    """Fresh weights for all that only captions use; everything else is frozen. Returns the fresh ones."""
    fresh = CoCa(model.config)
    model.requires_grad_(False)
    model.multimodal, model.norm_final = fresh.multimodal, fresh.norm_final
    model.image.concept_words, model.image.concept_score = fresh.image.concept_words, fresh.image.concept_score
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--start", default="embedded.pt", help="a checkpoint of the work folder")
    parser.add_argument("--out", default="captions.pt", help="a file of the work folder")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--everything", action="store_true", help="use the choosing split's captions too")
    args = parser.parse_args()
    torch.manual_seed(SEED)
    model = load_trained(args.work / args.start).coca
    model.image.concept_tokens = CONCEPT_TOKENS
    for module in (model.dropout, *(block.dropout for block in model.unimodal)):
        module.p = TEXT_DROPOUT
    parameters = renew_decoder(model)
    averaged = copy.deepcopy(model).eval()
    source = SentenceSource(args.data, args.work, model.config.context_length, BATCH, args.everything, SEED)
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
    schedule, start = linear_schedule(optimizer, args.steps), time.time()
    model.train()
    for step in range(args.steps):
        ids, probability = source.next()
        with autocast():
            cross = model.cross_kv(model.image.embed_concepts(probability))
            with torch.no_grad():
                states = model.unimodal_states(ids)
            loss = caption_loss(model.next_token_logits(states[:, :-1], cross), ids)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        average_into(averaged, model, step)
        if step % 50 == 0:
            print(f"step {step} captioning {loss.item():.3f} {time.time() - start:.0f} s", flush=True)
        if step % 500 == 499 or step == args.steps - 1:
            torch.save({"config": model.config, "model": averaged.state_dict()}, args.work / args.out)


if __name__ == "__main__":
    main()
