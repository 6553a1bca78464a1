"""Synthetic faces of people who frown, look neutral or smile, drawn by code.

A person has the same colors, hair, eyes and proportions in every picture. Mouth, tilt,
light and noise differ from picture to picture.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIDE, CANVAS = 24, 144  # pixels of a picture, and of what it is made from
EYES, HAIR = ("dots", "rings", "lids", "lines"), ("none", "long", "cap", "fringe")
WHITE, LIPS = (255, 255, 255), (160, 30, 30)


@dataclass
class Person:
    """The features that all pictures of a person share."""

    skin: tuple
    ink: tuple
    hair_color: tuple
    eyes: str
    hair: str
    eye_size: int
    eye_level: int
    eye_distance: int
    mouth_level: int
    mouth_width: int
    line: int
    has_outline: bool


def make_person(rng):
    """Return a person with features drawn at random."""
    return Person(
        skin=tuple(rng.integers((190, 150, 110), 256)),
        ink=tuple(rng.integers(0, 80, 3)),
        hair_color=tuple(rng.integers(0, 256, 3)),
        eyes=rng.choice(EYES),
        hair=rng.choice(HAIR),
        eye_size=int(rng.integers(5, 13)),
        eye_level=int(rng.integers(54, 68)),
        eye_distance=int(rng.integers(18, 30)),
        mouth_level=int(rng.integers(94, 104)),
        mouth_width=int(rng.integers(24, 36)),
        line=int(rng.integers(4, 9)),
        has_outline=rng.random() < 0.5,
    )


def draw_head(draw, person):
    """Draw hair, head and eyes."""
    ink, line, hair = person.ink, person.line, person.hair_color
    if person.hair == "long":
        draw.rounded_rectangle((8, 6, 136, 144), 50, hair)
    draw.ellipse((18, 12, 126, 136), person.skin, ink if person.has_outline else None)
    if person.hair == "cap":
        draw.chord((16, 8, 128, 110), 195, 345, hair)
    elif person.hair == "fringe":
        draw.chord((16, 8, 128, 90), 180, 360, hair)
    size, y = person.eye_size, person.eye_level
    for x in (72 - person.eye_distance, 72 + person.eye_distance):
        box = (x - size, y - size, x + size, y + size)
        if person.eyes == "dots":
            draw.ellipse(box, ink)
        elif person.eyes == "rings":
            draw.ellipse(box, WHITE, ink, 2)
            draw.circle((x, y), size // 2, ink)
        elif person.eyes == "lids":
            draw.arc(box, 180, 360, ink, line)
        else:
            draw.line((x - size, y, x + size, y), ink, line)


def draw_mouth(rng, draw, person, mood):
    """Draw a mouth that turns down (-1), is straight (0), or turns up (1)."""
    ink, line, y = person.ink, person.line, person.mouth_level
    left, right = 72 + person.mouth_width * np.array([-1, 1]) + rng.integers(-4, 5, 2)
    depth = int(rng.integers(14, 25))
    if mood == 0:
        draw.line((left, y, right, y), ink, line)
        return
    # half of an ellipse
    shift, angles = (1.5, (0, 180)) if mood > 0 else (0.5, (180, 360))
    top = y - shift * depth
    box = (left, top, right, top + 2 * depth)
    if rng.random() < 0.6:
        draw.arc(box, *angles, ink, line)
    else:
        draw.chord(box, *angles, ink if rng.random() < 0.5 else LIPS, ink, 3)


def photograph(rng, picture):
    """Return the pixels of a picture with random tilt, shift and light.

    They are `(SIDE, SIDE, 3)`, about -2 to 2.
    """
    size = int(rng.integers(SIDE, SIDE + 5))
    picture = picture.reduce(2).rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR)
    picture = picture.resize((size, size), Image.Resampling.BOX)
    image = Image.new("RGBA", (size, size), tuple(rng.integers(130, 256, 3)))
    image.alpha_composite(picture)
    left, top = rng.integers(0, size - SIDE + 1, 2)
    pixels = np.asarray(image)[top : top + SIDE, left : left + SIDE, :3] / 255
    pixels = pixels * rng.uniform(0.6, 1.0) + rng.normal(0, 0.03, pixels.shape)
    return (4 * pixels - 2).astype("float32")


def make_faces(rng, mood, people, number):
    """Return pictures of people in one mood."""
    faces = []
    for index in rng.integers(len(people), size=number):
        picture = Image.new("RGBA", (CANVAS, CANVAS))
        draw = ImageDraw.Draw(picture)
        draw_head(draw, people[index])
        draw_mouth(rng, draw, people[index], mood)
        faces.append(photograph(rng, picture))
    return np.stack(faces)
