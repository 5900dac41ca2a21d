"""Real photos in many forms through `coca embed`, against open_clip's own preprocessing and image encoder.

    python benches/import/pixels.py CHECKPOINT BUNDLE PHOTOS WORK [--count 6] [--programs target/release]

CHECKPOINT is what `coca-quantize import` made BUNDLE from, PHOTOS a folder of JPEGs. The variants are written to WORK:
odd sizes, portrait, tiny, huge, grey, palette, transparent, other file formats and JPEG settings. open_clip reads them as
its users do, `Image.open(path).convert("RGB")`; transparency is the one place where that is not what coca means to do,
so there the reference is the picture on black. Prints a line for each variant, then the mean and the worst cosine.
"""

import argparse
import json
import logging
import os
import subprocess

import numpy as np
import torch
from PIL import Image, ImageOps

from oracle import Oracle

LIMIT = 0.9999


def cut(picture, width, height):
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def transparent(picture):
    """Opaque in the middle, clear at the rim, so that both kinds of edge are there."""
    picture = picture.convert("RGBA")
    height, width = picture.height, picture.width
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    alpha = np.clip(2.2 - 2 * np.hypot(x, y), 0, 1) * 255
    picture.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return picture


VARIANTS = {
    "as-it-is.jpg": (lambda p: p, {}),
    "odd.jpg": (lambda p: cut(p, 333, 251), dict(quality=88)),
    "portrait.jpg": (lambda p: cut(p, 301, 487), dict(quality=92)),
    "panorama.png": (lambda p: cut(p, 1501, 211), {}),
    "column.png": (lambda p: cut(p, 97, 600), {}),
    "tiny.png": (lambda p: cut(p, 31, 23), {}),
    "dot.png": (lambda p: cut(p, 1, 1), {}),
    "model-size.png": (lambda p: cut(p, 224, 224), {}),
    "one-more.png": (lambda p: cut(p, 225, 224), {}),
    "three-more.png": (lambda p: cut(p, 224, 227), {}),
    "huge.jpg": (lambda p: p.resize((4000, 3000), Image.Resampling.BICUBIC), dict(quality=90)),
    "huge-portrait.jpg": (lambda p: p.resize((2448, 3264), Image.Resampling.BICUBIC), dict(quality=75, subsampling=2)),
    "large-444.jpg": (lambda p: cut(p, 1601, 1203), dict(quality=95, subsampling=0)),
    "large-422-progressive.jpg": (lambda p: cut(p, 1400, 1051), dict(quality=80, subsampling=1, progressive=True)),
    "coarse.jpg": (lambda p: p, dict(quality=20)),
    "grey.jpg": (lambda p: p.convert("L"), dict(quality=90)),
    "grey.png": (lambda p: p.convert("L"), {}),
    "black-and-white.png": (lambda p: p.convert("1"), {}),
    "palette.png": (lambda p: p.quantize(64), {}),
    "palette.gif": (lambda p: p.quantize(255), {}),
    "transparent.png": (transparent, {}),
    "grey-transparent.png": (lambda p: transparent(p).convert("LA"), {}),
    "cmyk.jpg": (lambda p: p.convert("CMYK"), dict(quality=90)),
    "lossless.webp": (lambda p: p, dict(lossless=True)),
    "lossy.webp": (lambda p: p, dict(quality=80)),
    "plain.bmp": (lambda p: p, {}),
}


def on_black(picture):
    """What coca shows of a transparent picture; every other one as open_clip's users read it."""
    if picture.mode in ("RGBA", "LA"):
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture).convert("RGB")
    return picture.convert("RGB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("bundle")
    parser.add_argument("photos")
    parser.add_argument("work")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--programs", default="target/release")
    a = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    Image.MAX_IMAGE_PIXELS = None

    oracle = Oracle(a.checkpoint)
    photos = sorted(os.listdir(a.photos))[: a.count]
    cosines = {}
    for variant, (change, settings) in VARIANTS.items():
        folder = os.path.join(a.work, variant)
        os.makedirs(folder, exist_ok=True)
        for photo in photos:
            path = os.path.join(folder, os.path.splitext(photo)[0] + os.path.splitext(variant)[1])
            change(Image.open(os.path.join(a.photos, photo)).convert("RGB")).save(path, **settings)
        command = [os.path.join(a.programs, "coca"), "embed", "--model", a.bundle, "--quiet", folder]
        rows = [json.loads(line) for line in subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()]
        found = np.array([row["embedding"] for row in rows])
        pixels = torch.stack([oracle.transform(on_black(Image.open(row["source"]))) for row in rows])
        cosines[variant] = (found * oracle.images(pixels).numpy()).sum(-1)
        print(f"{variant:28} mean {cosines[variant].mean():.7f}  worst {cosines[variant].min():.7f}", flush=True)
    every = np.concatenate(list(cosines.values()))
    below = int((every < LIMIT).sum())
    print(json.dumps(dict(pictures=len(every), mean=every.mean(), worst=every.min(), below_limit=below)))
    raise SystemExit(below > 0)


if __name__ == "__main__":
    main()
