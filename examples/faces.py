"""Faces that smile or frown: emoji of two fonts, and simple ones drawn at random.

The fonts are Noto Color Emoji, which has to be installed, and DejaVu Sans, which comes
with Matplotlib and has outlines of many of the same emoji by another hand.
"""

import functools
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

# negative, positive; without those whose mouth is hidden or tells nothing
EMOJI = (
    "😞😔😟😕🙁😣😖😫😩😢😭😠😡😨😰😥😓😦😧😿😾😒👿😪",
    "😀😃😄😁😆😅😂🤣😊😇🙂😉😌😍🥰😋😛😝😎🤩🥳🤗🤠😺😸😹😻😈",
)
SIDE, CANVAS = 24, 160  # pixels, of a picture and of what it is made from
WHITE, LIPS = (255, 255, 255), (160, 30, 30)


@functools.cache
def find_fonts():
    """Return a font of coloured emoji, and one of outlines."""
    found = [p for p in font_manager.findSystemFonts() if "NotoColorEmoji" in p]
    if not found:
        raise SystemExit(
            "The faces need the font Noto Color Emoji. On Debian: "
            "apt-get install fonts-noto-color-emoji"
        )
    outlines = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    # a bitmap font has one size
    return ImageFont.truetype(found[0], 109), ImageFont.truetype(outlines, 120)


def draw_emoji(emoji):
    """Return one picture of an emoji for each font that has it."""
    pictures, center = [], (CANVAS / 2, CANVAS / 2)
    for font in find_fonts():
        if bytes(font.getmask(emoji)) == bytes(font.getmask("\U0010fffd")):
            continue  # the box that stands for a missing character
        picture = Image.new("RGBA", (CANVAS, CANVAS))
        draw = ImageDraw.Draw(picture)
        draw.text(center, emoji, "black", font, anchor="mm", embedded_color=True)
        pictures.append(picture)
    return pictures


def draw_simple_face(rng, is_positive):
    """Return a face of circles, lines and arcs, of random colours and proportions."""
    picture = Image.new("RGBA", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    ink, skin = tuple(rng.integers(0, 90, 3)), tuple(rng.integers(120, 256, 3))
    outline = ink if rng.random() < 0.6 else None
    draw.ellipse((12, 12, 148, 148), skin, outline, int(rng.integers(2, 8)))
    line, eye = int(rng.integers(3, 10)), rng.integers(5, 16)
    level, apart, kind = rng.integers(55, 75), rng.integers(20, 38), rng.integers(4)
    slant = 0 if rng.random() < (0.9 if is_positive else 0.5) else rng.integers(-8, 9)
    for side in (-1, 1):
        x = 80 + side * apart
        box = [x - eye, level - eye, x + eye, level + eye]
        if kind == 0:
            draw.ellipse(box, ink)
        elif kind == 1:
            draw.ellipse(box, WHITE, ink, 2)
            draw.circle((x, level), eye // 2, ink)
        elif kind == 2:
            draw.arc(box, 180, 360, ink, line)
        else:
            draw.line((x - eye, level, x + eye, level), ink, line)
        if slant:
            brow, tilt = level - eye - 10, side * slant
            draw.line((x - eye, brow - tilt, x + eye, brow + tilt), ink, line)
    width, depth, y = rng.integers((18, 10, 100), (45, 40, 120))
    if is_positive:
        box, angles = (80 - width, y - depth, 80 + width, y + depth), (0, 180)
    else:
        box, angles = (80 - width, y - 5, 80 + width, y + 2 * depth), (180, 360)
    if rng.random() < 0.6:
        draw.arc(box, *angles, ink, line)
    else:
        draw.chord(box, *angles, (ink, WHITE, LIPS)[rng.integers(3)], ink, 2)
    return picture


def photograph(rng, picture):
    """Return pixels of a picture, turned, shifted and coloured at random.

    They are `(SIDE, SIDE, 3)`, about -2 to 2.
    """
    size = int(rng.integers(SIDE, SIDE + 9))
    picture = picture.rotate(rng.uniform(-15, 15), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    image = Image.new("RGBA", (size, size), tuple(rng.integers(128, 256, 3)))
    image.alpha_composite(picture)
    left, top = (size - SIDE) // 2 + rng.integers(-1, 2, 2)
    image = image.crop((left, top, left + SIDE, top + SIDE))
    pixels = np.asarray(image)[..., :3] / 255
    gray = pixels.mean(axis=-1, keepdims=True)
    pixels = gray + rng.uniform(0, 1) * (pixels - gray)
    pixels = pixels * rng.uniform(0.6, 1.0, 3) + rng.normal(0, 0.03, pixels.shape)
    return (4 * pixels - 2).astype("float32")


def make_faces(rng, is_positive, emoji, copies, simple=0):
    """Return pictures of some emoji, and of a number of simple faces."""
    pictures = [p for character in emoji for p in draw_emoji(character)] * copies
    pictures += [draw_simple_face(rng, is_positive) for _ in range(simple)]
    return np.stack([photograph(rng, picture) for picture in pictures])
