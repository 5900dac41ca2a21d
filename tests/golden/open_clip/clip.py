"""Makes six small CLIP checkpoints with random weights, and what open_clip answers with them, in the folders `clip-*`.

    pip install torch open_clip_torch==3.3.0 transformers==4.46.3 safetensors
    python clip.py

Each stands for a form of the released models: their patches and heads, `-quickgelu`, `-alt` (a narrow text tower and a layer
scale), `-256` (another image size), a text tower of its own (`custom_text`), and an oblong image. Sizes are odd on purpose, as
in `make.py`. Weights are stored in 16 bits, and the answers are those of the numbers that are stored.
"""

import math
import os

import open_clip
import torch
from safetensors.torch import save_file

from make import (CONTEXT, END, HERE, LABELS, START, TEXTS, VOCABULARY, model_pictures, padded, randomise, tokenizer,
                  write_answers, write_description)

CONFIGS = {
    "clip-32": dict(
        embed_dim=20,
        vision_cfg=dict(image_size=32, patch_size=16, width=24, head_width=12, layers=2),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=20, heads=4, layers=2),
    ),
    "clip-quickgelu": dict(
        embed_dim=16,
        quick_gelu=True,
        vision_cfg=dict(image_size=30, patch_size=10, width=24, head_width=6, layers=3, mlp_ratio=2.5),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=16, heads=1, layers=3),
    ),
    "clip-alt": dict(
        embed_dim=12,
        vision_cfg=dict(image_size=32, patch_size=8, width=24, head_width=8, layers=2, ls_init_value=1e-4),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=12, heads=2, layers=1),
    ),
    "clip-256": dict(
        embed_dim=18,
        vision_cfg=dict(image_size=43, patch_size=14, width=28, head_width=14, layers=2),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=18, heads=3, layers=2, mlp_ratio=3.0),
    ),
    "clip-custom-text": dict(
        embed_dim=20,
        custom_text=True,
        vision_cfg=dict(image_size=24, patch_size=8, width=20, head_width=10, layers=1),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=20, heads=2, layers=2, ls_init_value=0.5),
    ),
    "clip-oblong": dict(
        embed_dim=14,
        vision_cfg=dict(image_size=[20, 33], patch_size=8, width=18, head_width=9, layers=2),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=15, heads=5, layers=2),
    ),
}
PREPROCESS = {"clip-256": dict(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], interpolation="bicubic", resize_mode="shortest")}
# The text embedding is that of the first end token.
IDS = TEXTS + [[START, 17, END, 30, END]]


def model(name):
    torch.manual_seed(sum(map(ord, name)))
    config = dict(CONFIGS[name])
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    made = kind(**config).eval()
    randomise(made)
    made.logit_scale.fill_(math.log(20.0))
    made.load_state_dict({k: v.half().float() for k, v in made.state_dict().items()})
    return made


def answers(made, pixels):
    images = made.encode_image(pixels, normalize=True)
    texts = made.encode_text(torch.tensor([padded(ids) for ids in IDS]), normalize=True)
    labels = made.encode_text(tokenizer()(LABELS), normalize=True)
    return dict(
        images=images.tolist(),
        texts=[dict(ids=ids, embedding=e) for ids, e in zip(IDS, texts.tolist())],
        labels=LABELS,
        scores=(100.0 * images @ labels.T).softmax(-1).tolist(),
    )


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in CONFIGS:
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        made = model(name)
        state = {k: v.half().contiguous() for k, v in made.state_dict().items()}
        if name == "clip-custom-text":
            torch.save(state, os.path.join(folder, "open_clip_pytorch_model.bin"))
        else:
            path = os.path.join(folder, "open_clip_model.safetensors")
            save_file(state, path)
            os.chmod(path, 0o644)
        preprocess = PREPROCESS.get(name)
        write_description(folder, CONFIGS[name], preprocess)
        write_answers(folder, answers(made, model_pictures(CONFIGS[name], preprocess)))


if __name__ == "__main__":
    main()
