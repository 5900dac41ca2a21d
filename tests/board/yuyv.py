#!/usr/bin/env python3
"""yuyv.py FRAME <PPM: writes a camera's YUYV frame (BT.601, limited range); prints its width and height."""

import sys

header, size, depth, pixels = sys.stdin.buffer.read().split(b"\n", 3)
assert (header, depth) == (b"P6", b"255"), header
width, height = map(int, size.split())
assert width % 2 == 0 and len(pixels) == 3 * width * height

frame = bytearray()
for at in range(0, len(pixels), 6):
    (r, g, b), (s, h, c) = pixels[at : at + 3], pixels[at + 3 : at + 6]
    luma = [16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255 for r, g, b in ((r, g, b), (s, h, c))]
    r, g, b = (r + s) / 2, (g + h) / 2, (b + c) / 2
    blue = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    red = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    frame += bytes(round(value) for value in (luma[0], blue, luma[1], red))
open(sys.argv[1], "wb").write(frame)
print(width, height)
