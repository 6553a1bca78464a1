"""Published conventions of rotary position embeddings, as data."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

RotaryConventionName: TypeAlias = Literal[
    "llama",
    "gptj",
    "glm",
    "qwen2_vl",
    "qwen3_vl",
    "qwen3_5",
    "glm4v",
    "ernie4_5_vl",
    "hunyuan_vl",
    "qwen2_vl_vision",
    "gemma4_vision",
    "pixtral",
    "llama4_vision",
    "dinov3",
    "vjepa2",
]
ROTARY_CONVENTION_NAMES: tuple[RotaryConventionName, ...] = get_args(
    RotaryConventionName
)

Pairing: TypeAlias = Literal["halves", "interleaved", "halves_per_axis"]
Allocation: TypeAlias = Literal["blocks", "alternate", "round_robin"]
Spectrum: TypeAlias = Literal["shared", "per_axis", "strided"]
CoordinateKind: TypeAlias = Literal["index", "index_from_1", "centers"]

ONE_AXIS = ("position",)
IMAGE_AXES = ("row", "column")
CLIP_AXES = ("frame", "row", "column")


@dataclass(frozen=True)
class RotaryConvention:
    """The rules of one published rotary position embedding.

    A pair of channels is turned by the angle `position * frequency`. With `n` pairs,
    frequency `k` of one spectrum is `max_wavelength ** (-k / n)`.

    Attributes:
        axes: The axes of a position, in the order of the call.
        section_axes: The axis of each section, by its place in `axes`.
        pairing: Which channels form a pair: `"halves"`, channel `c` and `c + n`;
            `"interleaved"`, `2 k` and `2 k + 1`; `"halves_per_axis"`, halves within
            the channels of each axis.
        allocation: Which axis turns a pair: `"blocks"`, one section after another;
            `"alternate"`, the first two sections take turns, then the others follow;
            `"round_robin"`, pair `k` belongs to section `k mod axes` while that has
            pairs left, else to the first.
        spectrum: `"shared"`, one spectrum over all pairs; `"per_axis"`, a spectrum for
            each axis; `"strided"`, one spectrum of which axis `a` of `A` has the
            frequencies `a, a + A, a + 2 A, ...`.
        sections: Number of pairs of each section in the published model, or `None`
            where all axes have the same.
        fraction: Share of the channels of a head that are turned.
        max_wavelength: The base of the frequencies.
        radians: Radians that a frequency of 1 turns per position.
        coordinates: What is turned by: `"index"`, the position; `"index_from_1"`, the
            position + 1; `"centers"`, the center of the position in a grid that spans
            -1 to 1. The last two turn no token with a negative position.
        leaves_rest: Whether channels that the axes cannot share are not turned.
        axis_by_channel: Whether sections are blocks of channels, twice as many as
            pairs, so that the two channels of a pair may follow different axes.
        frequency_by_channel: Whether the channels of an axis repeat its spectrum, so
            that the two channels of a pair have different frequencies.
    """

    axes: tuple[str, ...] = ONE_AXIS
    section_axes: tuple[int, ...] = (0,)
    pairing: Pairing = "halves"
    allocation: Allocation = "blocks"
    spectrum: Spectrum = "shared"
    sections: tuple[int, ...] | None = None
    fraction: float = 1.0
    max_wavelength: float = 10000.0
    radians: float = 1.0
    coordinates: CoordinateKind = "index"
    leaves_rest: bool = False
    axis_by_channel: bool = False
    frequency_by_channel: bool = False


_IMAGE = {"axes": IMAGE_AXES, "section_axes": (0, 1), "spectrum": "per_axis"}
_CLIP = {"axes": CLIP_AXES, "section_axes": (0, 1, 2)}

ROTARY_CONVENTIONS: dict[RotaryConventionName, RotaryConvention] = {
    # also Mistral, Qwen 1 to 3, Gemma; GPT-NeoX and Phi with a fraction
    "llama": RotaryConvention(),
    # also Cohere and ERNIE 4.5; GPT-J itself with a fraction
    "gptj": RotaryConvention(pairing="interleaved"),
    "glm": RotaryConvention(pairing="interleaved", fraction=0.5),
    # also Qwen2.5-VL and Qwen2.5-Omni
    "qwen2_vl": RotaryConvention(
        **_CLIP, sections=(16, 24, 24), max_wavelength=1000000.0
    ),
    # also Qwen3-Omni
    "qwen3_vl": RotaryConvention(
        **_CLIP,
        allocation="round_robin",
        sections=(24, 20, 20),
        max_wavelength=5000000.0,
    ),
    "qwen3_5": RotaryConvention(
        **_CLIP,
        allocation="round_robin",
        sections=(11, 11, 10),
        fraction=0.25,
        max_wavelength=10000000.0,
    ),
    "glm4v": RotaryConvention(
        **_CLIP, pairing="interleaved", sections=(8, 12, 12), fraction=0.5
    ),
    "ernie4_5_vl": RotaryConvention(
        axes=CLIP_AXES,
        section_axes=(1, 2, 0),
        pairing="interleaved",
        allocation="alternate",
        sections=(22, 22, 20),
        max_wavelength=500000.0,
    ),
    # no rotation: the two channels of a pair follow different axes
    "hunyuan_vl": RotaryConvention(
        axes=("position", "column", "row", "image"),
        section_axes=(0, 1, 2, 3),
        sections=(16, 16, 16, 16),
        axis_by_channel=True,
    ),
    # also the vision towers of Qwen2.5-VL, Qwen3-VL and ERNIE 4.5
    "qwen2_vl_vision": RotaryConvention(**_IMAGE),
    "gemma4_vision": RotaryConvention(
        **_IMAGE, pairing="halves_per_axis", max_wavelength=100.0
    ),
    # also Mistral 3
    "pixtral": RotaryConvention(**{**_IMAGE, "spectrum": "strided"}),
    "llama4_vision": RotaryConvention(
        **{**_IMAGE, "section_axes": (1, 0)},
        pairing="interleaved",
        coordinates="index_from_1",
    ),
    "dinov3": RotaryConvention(
        **_IMAGE,
        max_wavelength=100.0,
        radians=6.283185307179586,
        coordinates="centers",
    ),
    # no rotation: the two channels of a pair have different frequencies
    "vjepa2": RotaryConvention(
        **_CLIP,
        pairing="interleaved",
        spectrum="per_axis",
        leaves_rest=True,
        frequency_by_channel=True,
    ),
}
