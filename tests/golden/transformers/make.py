"""Makes small CLIP checkpoints with random weights in transformers' layout, and what its `CLIPModel` answers with them.

    pip install torch open_clip_torch==3.3.0 transformers==4.46.3 safetensors
    python make.py

`openai/` is as openai's are stored: the legacy `eos_token_id` 2, QuickGELU, `text_config_dict` beside `text_config`, buffers of
position ids. `tinyclip/` is as TinyCLIP's: few layers, sizes of their own, GELU, a torch pickle. Folders are what
`save_pretrained` writes, with weights in 16 bits; the answers are those of the numbers that are stored.
"""

import gzip
import json
import math
import os
import sys
import tempfile

import open_clip
import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))

from answers import pictures, write_answers, write_json

VOCABULARY = 600
START, END = VOCABULARY - 2, VOCABULARY - 1
CONTEXT = 14

TEXT = dict(vocab_size=VOCABULARY, max_position_embeddings=CONTEXT)
CONFIGS = {
    "openai": dict(
        projection_dim=16,
        text_config=dict(TEXT, hidden_size=20, intermediate_size=50, num_hidden_layers=2, num_attention_heads=4,
                         bos_token_id=0, eos_token_id=2),
        vision_config=dict(hidden_size=24, intermediate_size=60, num_hidden_layers=2, num_attention_heads=3, image_size=30,
                           patch_size=10),
    ),
    "tinyclip": dict(
        projection_dim=20,
        text_config=dict(TEXT, hidden_size=12, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
                         hidden_act="gelu", bos_token_id=START, eos_token_id=END),
        vision_config=dict(hidden_size=18, intermediate_size=36, num_hidden_layers=3, num_attention_heads=2, image_size=35,
                           patch_size=16, hidden_act="gelu"),
    ),
}
SENTENCES = ["a cat", "A  Photo of\tthe DOG!", "an umbrella that is far too long for this context", "it's 42 \u00e9t\u00e9s", "", "!@# in the rain"]


def tokenizer(folder):
    """transformers' own, with as many merges as the cut vocabulary has room for."""
    lines = gzip.open(open_clip.tokenizer.default_bpe()).read().decode("utf-8").split("\n")
    lines = lines[: 1 + VOCABULARY - 512 - 2]
    tokens = list(open_clip.tokenizer.bytes_to_unicode().values())
    tokens += [token + "</w>" for token in tokens] + [line.replace(" ", "") for line in lines[1:]]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    with open(os.path.join(folder, "vocab.json"), "w") as f:
        json.dump({token: i for i, token in enumerate(tokens)}, f)
    with open(os.path.join(folder, "merges.txt"), "w") as f:
        f.write("\n".join(lines))
    made = CLIPTokenizerFast(os.path.join(folder, "vocab.json"), os.path.join(folder, "merges.txt"), model_max_length=CONTEXT)
    assert made.convert_tokens_to_ids(["<|startoftext|>", "<|endoftext|>"]) == [START, END]
    return made


def model(name):
    """Random weights, large enough that attention, masks and positions decide the answers."""
    torch.manual_seed(sum(map(ord, name)))
    made = CLIPModel(CLIPConfig(**CONFIGS[name])).eval()
    for key, w in made.named_parameters():
        if "norm" in key or "layrnorm" in key:
            w.copy_(torch.randn(w.shape) * 0.2 + (1.0 if key.endswith("weight") else 0.0))
        elif w.dim() < 2:
            w.copy_(torch.randn(w.shape) * 0.3)
        elif "embedding.weight" in key and "patch" not in key:
            w.copy_(torch.randn(w.shape))
        else:
            w.copy_(torch.randn(w.shape) * 1.4 * w[0].numel() ** -0.5)
    made.logit_scale.fill_(math.log(20.0))
    made.load_state_dict({k: v.half().float() for k, v in made.state_dict().items()})
    return made


def answers(made, tokenize, mean, std):
    side = made.config.vision_config.image_size
    pixels = pictures(3, side, side)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (mean, std))
    batch = tokenize(SENTENCES, padding="max_length", truncation=True, return_tensors="pt")
    out = made(pixel_values=(pixels / 255 - mean) / std, **batch)
    ids = [row[: row.index(END) + 1] for row in batch["input_ids"].tolist()]
    return dict(
        images=out.image_embeds.tolist(),
        sentences=[dict(text=t, ids=i, embedding=e) for t, i, e in zip(SENTENCES, ids, out.text_embeds.tolist())],
        scores=out.logits_per_image.softmax(-1).tolist(),
    )


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in CONFIGS:
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        made = model(name)
        with tempfile.TemporaryDirectory() as scratch:
            tokenize = tokenizer(scratch)
            # transformers writes what it does not need here, and reads `tokenizer.json` alone.
            tokenize.save_pretrained(scratch)
            with open(os.path.join(scratch, "tokenizer.json")) as f:
                write_json(folder, "tokenizer.json", json.load(f), indent=1)
        processor = CLIPImageProcessor(size={"shortest_edge": made.config.vision_config.image_size},
                                       crop_size=made.config.vision_config.image_size)
        processor.save_pretrained(folder)
        config = made.config.to_dict()
        state = {k: v.half().contiguous() for k, v in made.state_dict().items()}
        if name == "openai":
            config["text_config_dict"] = CONFIGS[name]["text_config"]
            for tower, count in (("text", CONTEXT), ("vision", 10)):
                state[f"{tower}_model.embeddings.position_ids"] = torch.arange(count).unsqueeze(0)
            path = os.path.join(folder, "model.safetensors")
            save_file(state, path, metadata={"format": "pt"})
            os.chmod(path, 0o644)
        else:
            torch.save(state, os.path.join(folder, "pytorch_model.bin"))
        write_json(folder, "config.json", config, indent=1)
        write_answers(folder, answers(made, tokenize, processor.image_mean, processor.image_std))


if __name__ == "__main__":
    main()
