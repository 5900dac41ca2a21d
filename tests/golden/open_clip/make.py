"""Makes two small CoCa checkpoints with random weights, and what open_clip answers with them.

    pip install torch open_clip_torch==3.3.0 transformers==4.46.3 safetensors
    python make.py

`pooler/` has an attentional pooler, is square, uses QuickGELU and is stored as safetensors; `plain/` has no pooler,
is wider than high, scales its branches (ls_init_value) and is stored as a torch zip in 16 bits. The sizes are odd on
purpose: heads that do not divide by 8, different heads in every tower, a patch that leaves a rest, a cut
vocabulary. `answers.json` beside each checkpoint holds the inputs and open_clip's outputs.

Pictures are not stored: byte i (row after row, red, green, blue) of picture p is floor(256 * frac((i + 1) * (p + 1) *
golden ratio)) in double precision.
"""

import gzip
import math
import os
import sys
import tempfile

import open_clip
import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))

from answers import pictures, write_answers, write_json

VOCABULARY = 600
START, END = VOCABULARY - 2, VOCABULARY - 1
CONTEXT = 14

CONFIGS = {
    "pooler": dict(
        embed_dim=24,
        quick_gelu=True,
        vision_cfg=dict(image_size=40, patch_size=8, width=30, head_width=9, layers=3, mlp_ratio=2.5,
                        attentional_pool=True, attn_pooler_heads=3, attn_pooler_queries=9, output_tokens=True),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=24, heads=2, layers=2, mlp_ratio=3.0,
                      embed_cls=True, output_tokens=True),
        multimodal_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=24, heads=6, layers=2),
    ),
    "plain": dict(
        embed_dim=20,
        vision_cfg=dict(image_size=[30, 43], patch_size=10, width=36, head_width=18, layers=2, ls_init_value=0.5,
                        output_tokens=True),
        text_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=36, heads=4, layers=3, ls_init_value=0.7,
                      embed_cls=True, output_tokens=True),
        multimodal_cfg=dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=36, heads=3, layers=2,
                            ls_init_value=0.6),
    ),
}
PREPROCESS = {
    "pooler": dict(mean=[0.5, 0.4, 0.3], std=[0.25, 0.2, 0.3], interpolation="bilinear", resize_mode="squash"),
    "plain": None,
}


def randomise(made):
    """Random weights, large enough that attention, masks and positions decide the answers."""
    for key, w in made.named_parameters():
        if key.endswith("gamma"):
            w.copy_(0.5 + torch.rand(w.shape))
        elif ".ln_" in key:
            w.copy_(torch.randn(w.shape) * 0.2 + (1.0 if key.endswith("weight") else 0.0))
        elif w.dim() < 2:
            w.copy_(torch.randn(w.shape) * 0.3)
        elif "embedding" in key or key.endswith("query"):
            w.copy_(torch.randn(w.shape))
        else:
            w.copy_(torch.randn(w.shape) * 1.4 * w.shape[-1 if key.endswith("weight") else 0] ** -0.5)


def model(name):
    """The small model `name`, with random weights."""
    torch.manual_seed(sum(map(ord, name)))
    made = open_clip.CoCa(**CONFIGS[name]).eval()
    with torch.no_grad():
        randomise(made)
        made.text_decoder.text_projection.mul_(2.0)
        # Some captions must end early, and some must contain the pad id.
        made.text_decoder.text_projection[:, END].mul_(2.2)
        made.text_decoder.text_projection[:, 0].mul_(2.0)
        # open_clip's evaluation multiplies with 100 all the same.
        made.logit_scale.fill_(math.log(20.0))
        if name == "plain":
            # The answers must be those of the numbers that are stored.
            made.load_state_dict({k: v.half().float() for k, v in made.state_dict().items()})
    return made


def normalised(pixels, preprocess):
    preprocess = preprocess or dict(mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD)
    mean, std = (torch.tensor(preprocess[k]).reshape(1, 3, 1, 1) for k in ("mean", "std"))
    return (pixels / 255 - mean) / std


def tokenizer():
    """open_clip's, with as many merges as the cut vocabulary has room for."""
    lines = gzip.open(open_clip.tokenizer.default_bpe()).read().decode("utf-8").split("\n")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "merges.txt.gz")
        with gzip.open(path, "wt") as f:
            f.write("\n".join(lines[: 1 + VOCABULARY - 512 - 2]))
        made = open_clip.SimpleTokenizer(bpe_path=path, context_length=CONTEXT)
    assert made.vocab_size == VOCABULARY and made.sot_token_id == START
    return made


LABELS = ["a cat", "the dog!", "!@# in the rain", "an umbrella that is far too long for this context"]
TEXTS = [
    [START, 17, 301, END],
    [START, END],
    [START, 5, 0, 77, 512, END],
    [START, 0, 0, 9, END],
    [START, 44, 8, 402, 9, 100, 511, 3, 250, 31, 8, 8, END],
    [START, 44, 8, 402, 9, 100, 511, 3, 250, 31, 8, 8, 90, END],
    [START, 44, 8, 402, 9, 0, 511, 3, 250, 31, 8, 8, 0, END],
]

SEARCHES = [
    dict(generation_type="beam_search"),
    dict(generation_type="beam_search", num_beams=6, num_beam_groups=3, seq_len=9),
    dict(generation_type="beam_search", num_beams=4, num_beam_groups=1),
    dict(generation_type="beam_search", num_beams=8, num_beam_groups=2, min_seq_len=9),
    dict(generation_type="beam_search", num_beams=3, num_beam_groups=3, repetition_penalty=1.7),
    dict(generation_type="beam_search", num_beams=5, num_beam_groups=1, repetition_penalty=3.0, min_seq_len=8),
    dict(generation_type="top_k", top_k=1),
    dict(generation_type="top_k", top_k=1, repetition_penalty=2.5, min_seq_len=7),
    dict(generation_type="top_k", top_k=1, seq_len=6),
    dict(generation_type="top_k", top_k=1, repetition_penalty=1.5, text="a b"),
    dict(generation_type="top_k", top_k=1, repetition_penalty=1.5, text="!@ in c"),
]


def padded(ids):
    return ids + [0] * (CONTEXT - len(ids))


def answers(made, pixels):
    tokenize = tokenizer()
    texts = torch.tensor([padded(ids) for ids in TEXTS])
    images, tokens = made._encode_image(pixels)
    labels = made.encode_text(tokenize(LABELS), normalize=True)
    captions = []
    for search in SEARCHES:
        for p in range(len(pixels)):
            options = dict(dict(seq_len=13, min_seq_len=5), **search)
            prompt = options.pop("text", None)
            start = torch.tensor([[START] + tokenize.encode(prompt)]) if prompt else None
            ids = made.generate(pixels[p : p + 1], text=start, sot_token_id=START, eos_token_id=END, **options)
            captions.append(dict(picture=p, prompt=prompt, **options, ids=ids[0].tolist()))
    # Teacher forcing: the logits after every token of a text.
    forced = TEXTS[2]
    logits = made.text_decoder(tokens[:1], made._encode_text(torch.tensor([forced]))[1])[0]
    return dict(
        images=images.tolist(),
        texts=[dict(ids=i, embedding=e) for i, e in zip(TEXTS, made.encode_text(texts, normalize=True).tolist())],
        labels=LABELS,
        scores=(100.0 * images @ labels.T).softmax(-1).tolist(),
        captions=captions,
        forced=dict(ids=forced, logits=logits.tolist()),
    )


def write_description(folder, model_cfg, preprocess):
    write_json(folder, "open_clip_config.json", dict(model_cfg=model_cfg, preprocess_cfg=preprocess), indent=1)


def model_pictures(model_cfg, preprocess):
    """Three pictures of the model's own size, as it reads them."""
    size = model_cfg["vision_cfg"]["image_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return normalised(pictures(3, height, width), preprocess)


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in CONFIGS:
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        made = model(name)
        state = {k: v.contiguous().clone() for k, v in made.state_dict().items()}
        if name == "pooler":
            path = os.path.join(folder, "open_clip_model.safetensors")
            save_file(state, path)
            os.chmod(path, 0o644)
        else:
            # As a training run stores it: 16 bits, nested, with the prefix of data-parallel training.
            halves = {"module." + k: v.half() for k, v in state.items()}
            checkpoint = {"epoch": 3, "name": "plain", "state_dict": halves, "optimizer": {"lr": 1e-3}}
            torch.save(checkpoint, os.path.join(folder, "open_clip_pytorch_model.bin"))
        write_description(folder, CONFIGS[name], PREPROCESS[name])
        write_answers(folder, answers(made, model_pictures(CONFIGS[name], PREPROCESS[name])))


if __name__ == "__main__":
    main()
