"""Writes a checkpoint of coca_ViT-B-32 with random weights, in open_clip's layout. Needs numpy.

    python benches/watch/random_checkpoint.py FOLDER
    coca-quantize import FOLDER MODEL
    coca-quantize int8 MODEL MODEL-INT8

Its answers mean nothing; its speed is that of a trained model.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

VISION = {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32, "attentional_pool": True,
          "attn_pooler_heads": 8, "output_tokens": True}
TEXT = {"context_length": 76, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12, "embed_cls": True,
        "output_tokens": True}
MULTIMODAL = {"context_length": 76, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
CONFIG = {
    "model_cfg": {"embed_dim": 512, "vision_cfg": VISION, "text_cfg": TEXT, "multimodal_cfg": MULTIMODAL},
    "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
                       "interpolation": "bicubic", "resize_mode": "shortest"},
}


def norm(name, width):
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def linear(name, outputs, inputs):
    return {f"{name}.weight": [outputs, inputs], f"{name}.bias": [outputs]}


def block(name, width, cross=False):
    shapes = {f"{name}.attn.in_proj_weight": [3 * width, width], f"{name}.attn.in_proj_bias": [3 * width]}
    shapes |= linear(f"{name}.attn.out_proj", width, width) | norm(f"{name}.ln_1", width) | norm(f"{name}.ln_2", width)
    shapes |= linear(f"{name}.mlp.c_fc", 4 * width, width) | linear(f"{name}.mlp.c_proj", width, 4 * width)
    return shapes | (norm(f"{name}.ln_1_kv", width) if cross else {})


def tensors():
    embed, wide, narrow = 512, VISION["width"], TEXT["width"]
    shapes = {
        "logit_scale": [],
        "visual.class_embedding": [wide],
        "visual.positional_embedding": [(224 // 32) ** 2 + 1, wide],
        "visual.conv1.weight": [wide, 3, 32, 32],
        "visual.proj": [embed, embed],
        "visual.attn_pool.query": [256, embed],
        "visual.attn_pool.attn.q_proj_weight": [embed, embed],
        "visual.attn_pool.attn.k_proj_weight": [embed, wide],
        "visual.attn_pool.attn.v_proj_weight": [embed, wide],
        "visual.attn_pool.attn.in_proj_bias": [3 * embed],
        "text.cls_emb": [narrow],
        "text.positional_embedding": [TEXT["context_length"] + 1, narrow],
        "text.token_embedding.weight": [TEXT["vocab_size"], narrow],
        "text.text_projection": [narrow, embed],
        "text_decoder.text_projection": [narrow, TEXT["vocab_size"]],
    }
    shapes |= linear("visual.attn_pool.attn.out_proj", embed, embed)
    for name, width in [("visual.ln_pre", wide), ("visual.ln_post", embed), ("visual.attn_pool.ln_k", wide),
                        ("visual.attn_pool.ln_q", embed), ("text.ln_final", narrow), ("text_decoder.ln_final", narrow)]:
        shapes |= norm(name, width)
    for layer in range(12):
        shapes |= block(f"visual.transformer.resblocks.{layer}", wide)
        shapes |= block(f"text.transformer.resblocks.{layer}", narrow)
        shapes |= block(f"text_decoder.resblocks.{layer}", narrow)
        shapes |= block(f"text_decoder.cross_attn.{layer}", narrow, cross=True)
    return shapes


def values(random, name, shape):
    """Norms scale by one; everything else keeps the size of what passes through it."""
    if name == "logit_scale":
        return np.array(np.log(100), np.float32)
    if ".ln_" in name or name.endswith("bias"):
        return np.full(shape, 1.0 if name.endswith("weight") else 0.0, np.float32)
    return (random.standard_normal(shape, np.float32) * np.prod(shape[1:] or [1]) ** -0.5).astype(np.float32)


def main(folder):
    random, header, offset = np.random.default_rng(0), {}, 0
    shapes = tensors()
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=1))
    described = json.dumps(header).encode()
    with open(folder / "open_clip_model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(described)) + described)
        for name, shape in shapes.items():
            file.write(values(random, name, shape).tobytes())


main(Path(sys.argv[1]))
