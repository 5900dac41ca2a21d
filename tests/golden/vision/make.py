"""Makes the pictures of this folder, and what open_clip's preprocessing makes of them.

    pip install open_clip_torch==3.3.0 torch==2.9.1 torchvision==0.24.1 pillow==13.0.0
    python make.py

Every picture is a formula. `cases.json` lists, for each picture and each `image` object of coca.json, the file with the
pixels that `open_clip.transform.image_transform` gives: float32, little-endian, [3, height, width].
"""

import json
from pathlib import Path

import numpy as np
from open_clip.transform import image_transform
from PIL import Image

HERE = Path(__file__).parent
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def pattern(width, height):
    """Rings with a sharp bright disc on a colour gradient: smooth parts, edges, and no symmetry."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    distance = np.hypot(x - 0.3, y - 0.2)
    rings = 0.5 + 0.5 * np.cos(25 * distance)
    rgb = np.stack([x, 0.3 + 0.5 * rings, 1 - y], axis=-1)
    rgb[np.hypot(x - 0.7, y - 0.4) < 0.15] = (1.0, 0.9, 0.1)
    return (rgb * 255).round().clip(0, 255).astype(np.uint8)


def pictures():
    """Odd sizes, portrait, smaller than the input, grey, palette."""
    yield "wide.png", Image.fromarray(pattern(97, 61))
    yield "tall.png", Image.fromarray(pattern(40, 87))
    yield "tiny.png", Image.fromarray(pattern(5, 3))
    yield "grey.png", Image.fromarray(pattern(61, 61)).convert("L")
    yield "palette.png", Image.fromarray(pattern(50, 33)).quantize(32)


def specs():
    square = {"width": 24, "height": 24, "mean": MEAN, "std": STD}
    yield "shortest", {**square, "resize": "shortest", "interpolation": "bicubic"}
    yield "longest", {**square, "resize": "longest", "interpolation": "bicubic"}
    yield "squash", {**square, "resize": "squash", "interpolation": "bilinear"}
    yield "oblong", {**square, "width": 32, "height": 20, "resize": "shortest", "interpolation": "bicubic"}


def preprocess(picture, spec):
    transform = image_transform(
        (spec["height"], spec["width"]),
        is_train=False,
        mean=spec["mean"],
        std=spec["std"],
        resize_mode=spec["resize"],
        interpolation=spec["interpolation"],
    )
    return transform(picture).numpy()


def main():
    cases = []
    for name, picture in pictures():
        picture.save(HERE / name, optimize=True)
        # Pillow resizes grey and palette pictures before it makes them RGB, the palette ones without a filter.
        picture = picture.convert("RGB")
        for kind, spec in specs():
            pixels = f"{Path(name).stem}-{kind}.f32"
            preprocess(picture, spec).astype("<f4").tofile(HERE / pixels)
            cases.append({"picture": name, "image": spec, "pixels": pixels})
    (HERE / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")

    # JPEG: the ways to store colour, and what the scaling decoder must leave to the full one.
    photo = Image.fromarray(pattern(97, 61))
    for name, subsampling in [("444", 0), ("422", 1), ("420", 2)]:
        photo.save(HERE / f"{name}.jpg", quality=90, subsampling=subsampling)
    photo.save(HERE / "restarts.jpg", quality=90, subsampling=2, restart_marker_blocks=3)
    photo.save(HERE / "progressive.jpg", quality=90, progressive=True)
    photo.convert("L").save(HERE / "grey.jpg", quality=90)

    # Four quarters: cyan ink, half magenta and yellow, half black, and paper.
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[:16, :16], inks[:16, 16:], inks[16:, :16] = (255, 0, 0, 0), (0, 128, 128, 0), (0, 0, 0, 128)
    Image.fromarray(inks, "CMYK").save(HERE / "cmyk.jpg", quality=95)


if __name__ == "__main__":
    main()
