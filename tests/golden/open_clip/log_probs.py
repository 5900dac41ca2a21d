"""Writes `log_probs.json`: what open_clip's forward pass gives as log-probabilities of texts, for the checkpoints that `make.py` stored.

    pip install torch open_clip_torch==3.3.0 transformers==4.46.3 safetensors
    python log_probs.py

A text's log-probability is the sum over its tokens after the start token, end token included, of log softmax of the logits
in front of each. Pictures, labels and token ids are those of `make.py`; every text is scored with every picture.
"""

import os

import torch
from safetensors.torch import load_file

from make import CONFIGS, END, HERE, LABELS, PREPROCESS, TEXTS, model_pictures, padded, tokenizer, write_answers

import open_clip


def stored(name):
    """The checkpoint as `make.py` stored it."""
    made = open_clip.CoCa(**CONFIGS[name]).eval()
    folder = os.path.join(HERE, name)
    if name == "pooler":
        state = load_file(os.path.join(folder, "open_clip_model.safetensors"))
    else:
        checkpoint = torch.load(os.path.join(folder, "open_clip_pytorch_model.bin"), weights_only=True)
        state = {k.removeprefix("module."): v.float() for k, v in checkpoint["state_dict"].items()}
    made.load_state_dict(state)
    return made


def log_prob(logits, ids):
    """`logits` `[1, L, V]` of open_clip's forward pass on a padded text; the sum up to the end token."""
    steps = logits[0].double().log_softmax(-1)
    return sum(steps[k, token].item() for k, token in enumerate(ids[1:]))


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    tokenize = tokenizer()
    for name in CONFIGS:
        made = stored(name)
        pixels = model_pictures(CONFIGS[name], PREPROCESS[name])
        # What follows a row's end token is padding.
        labels = [row[: row.index(END) + 1] for row in tokenize(LABELS).tolist()]
        answers = []
        for ids in labels + TEXTS:
            batch = torch.tensor([padded(ids)] * len(pixels))
            logits = made(pixels, batch)["logits"]
            answers.append(dict(ids=ids, log_probs=[log_prob(logits[p : p + 1], ids) for p in range(len(pixels))]))
        write_answers(os.path.join(HERE, name), dict(labels=LABELS, texts=answers), "log_probs.json")


if __name__ == "__main__":
    main()
