"""The terms of a position encoding: the axes of each, and the waves of its channels."""

from keras_mmembed.common import checks
from keras_mmembed.positions import encoding
from keras_mmembed.positions.sinusoid import Waves, spectrum


def make_groups(rules, rank, combination, default):
    """Return how axes are combined, and the axes of each term in channel order.

    Args:
        rules: The convention.
        rank: The number of axes of the layer.
        combination: What the user asks for, or `None`.
        default: What the layer does where the convention says nothing.
    """
    rank = 1 if rules.indexing == "flat" else rank
    combination = combination or rules.combination.get(rank, default)
    combination = combination if rank > 1 else "joint"
    groups = encoding.term_axes(combination, rank)
    if combination == "concat":
        groups = tuple((a,) for a in rules.axis_order.get(rank, range(rank)))
    return combination, groups


def table_widths(width, combination, groups):
    """Return the number of channels of the table of each term."""
    if combination == "concat":
        return encoding.split_width(width, len(groups))
    return [width] * len(groups)


def make_bands(who, convention, width, rank):
    """Return the number of Fourier bands for each axis, which the width decides."""
    rule = f"be {rank} * (2 * bands + 1) with convention={convention!r}"
    fits = width % rank == 0 and width // rank % 2 == 1 and width > rank
    checks.check(fits, who, "inputs.shape[-1]", rule, width)
    return width // rank // 2


def make_waves(who, convention, rules, width, grouping, max_wavelength):
    """Return for each term a list of `(axis, waves)`, in channel order.

    Args:
        who: The name of the layer, for errors.
        convention: Its name.
        rules: The convention.
        width: Number of channels.
        grouping: What `make_groups` returns.
        max_wavelength: Wavelength of the slowest sine, over a turn.
    """
    combination, groups = grouping
    if combination == "concat":
        groups = (tuple(axis for group in groups for axis in group),)
    terms = []
    for group in groups:
        order = group
        if combination == "space_time" and len(group) in rules.axis_order:
            order = [group[axis] for axis in rules.axis_order[len(group)]]
        step = 2 * len(order)
        if rules.layout == "halves":
            rule = f"be divisible by {step} with convention={convention!r}"
            checks.check(width % step == 0, who, "inputs.shape[-1]", rule, width)
        least = 2 * step if rules.endpoint else len(order)
        rule = f"be at least {least} with convention={convention!r}"
        checks.check(width >= least, who, "inputs.shape[-1]", rule, width)
        wave = (rules.layout, rules.endpoint, max_wavelength)
        widths = encoding.split_width(width, len(order))
        spectra = [spectrum(share, *wave) for share in widths]
        terms.append([(a, Waves(*s)) for a, s in zip(order, spectra, strict=True)])
    return terms
