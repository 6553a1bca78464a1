"""What the position layers of one, two and three axes share."""

from typing import ClassVar

import keras
import numpy as np
from keras import initializers, ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.positions import checks as position_checks
from keras_mmembed.positions import encoding, resize, tables
from keras_mmembed.positions.arrangement import arrange
from keras_mmembed.positions.conventions import CONVENTIONS
from keras_mmembed.positions.coordinates import (
    Coordinates,
    is_within,
    locate_axes,
    locate_flat,
    shift,
    tensor_or_known,
)
from keras_mmembed.positions.known_grid import KnownGrid
from keras_mmembed.positions.terms import (
    make_bands,
    make_groups,
    make_waves,
    table_widths,
)

KINDS = ("sinusoidal", "learned")
OUT_OF_RANGE = ("error", "clip", "zero", "resize")


class PositionEmbedding(keras.layers.Layer):
    """Position encoding over the axes whose sizes a subclass names.

    A subclass lists the `size_names`, the `combinations` of axes that it knows, and
    the `default_combination` of each kind of table.
    """

    size_names = ()
    combinations = ()
    default_combination: ClassVar = {}

    def __init__(
        self,
        sizes,
        *,
        kind="sinusoidal",
        convention="transformer",
        combination=None,
        max_wavelength=10000,
        interpolation=None,
        antialias=False,
        align_corners=False,
        out_of_range="error",
        num_prefix_tokens=0,
        embeddings_initializer=None,
        **kwargs,
    ):
        # float positions must not be rounded to half precision on their way in
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        who = type(self).__name__
        self.kind = checks.check_choice(who, "kind", kind, KINDS)
        for name, size in zip(self.size_names, sizes, strict=True):
            size = checks.check_integer(who, name, size, optional=True)
            rule = "be given with kind='learned', because the table has this size"
            checks.check(size or kind != "learned", who, name, rule, size)
            setattr(self, name, size)
        checks.check_choice(who, "convention", convention, tuple(CONVENTIONS))
        rules = CONVENTIONS[convention]
        fitting = tuple(c for c in CONVENTIONS if kind in CONVENTIONS[c].kinds)
        self.convention = checks.check_choice(who, "convention", convention, fitting)
        choices = [c for c in self.combinations if kind == "learned" or c != "joint"]
        self.combination = checks.check_choice(
            who, "combination", combination, (None, *choices)
        )
        self.max_wavelength = checks.check_number(
            who, "max_wavelength", max_wavelength, 0
        )
        self.interpolation = interpolation
        self.antialias = bool(antialias)
        self.align_corners = bool(align_corners)
        self.out_of_range = checks.check_choice(
            who, "out_of_range", out_of_range, OUT_OF_RANGE
        )
        resizes_table = kind == "learned" and out_of_range == "resize"
        if interpolation is not None or antialias or align_corners or resizes_table:
            resize.check_interpolation(who, interpolation, antialias, align_corners)
        rule = f"not be 'resize' with convention={convention!r}, which skips rows"
        is_clear = not (resizes_table and rules.first_index)
        checks.check(is_clear, who, "out_of_range", rule, repr(out_of_range))
        self.num_prefix_tokens = checks.check_integer(
            who, "num_prefix_tokens", num_prefix_tokens, minimum=0
        )
        self._known_grid = None
        self.embeddings_initializer = tables.default_initializer(embeddings_initializer)

    def build(self, inputs_shape):
        width = inputs_shape[-1]
        rule = "have a last axis of known size"
        shape = tuple(inputs_shape)
        checks.check(width, type(self).__name__, "inputs.shape", rule, shape)
        if self.kind == "learned":
            self._build_tables(width)
        else:
            self._build_waves(width)
        self.built = True

    def call(self, inputs, positions=None, start_index=0, mask=None, grid=None):
        vectors = self.encode(inputs, positions, start_index, mask, grid)
        return tensors.add_once(self, inputs, vectors)

    def encode(self, inputs, positions=None, start_index=0, mask=None, grid=None):
        """Return the encoding alone, in float32, broadcastable to `inputs`.

        What is the same for all samples has no batch axis, so that a caller can add
        it up with other such terms before they meet the batch.
        """
        grid, positions = _grid_sizes(grid), _as_tensor(positions)
        position_checks.check_call(self, inputs, positions, start_index, grid)
        place = self._locate(inputs, positions, start_index, mask, grid)
        vectors = self._read_known_grid(place)
        if vectors is None:
            is_learned = self.kind == "learned"
            encode = self._encode_learned if is_learned else self._encode_sinusoidal
            vectors = encode(place)
        if place.valid is not None:
            valid = ops.expand_dims(place.valid, -1)
            vectors = ops.where(valid, vectors, ops.zeros_like(vectors))
        prefix = getattr(self, "prefix_embeddings", None)
        return self._arrange(vectors, inputs, place, prefix)

    def token_positions(
        self, inputs, positions=None, start_index=0, mask=None, grid=None
    ):
        """Return where each token stands, `(..., tokens, axes)`, in float32.

        Prefix tokens stand at 0. There is no batch axis where all samples agree.
        """
        grid, positions = _grid_sizes(grid), _as_tensor(positions)
        place = self._locate(inputs, positions, start_index, mask, grid)
        axes = [ops.cast(axis, "float32")[..., None] for axis in place.spread()]
        return self._arrange(encoding.concatenate(axes), inputs, place)

    def compute_mask(self, inputs, previous_mask):
        return previous_mask

    def compute_output_shape(self, inputs_shape):
        position_checks.check_shapes(self, inputs_shape)
        return tuple(inputs_shape)

    def compute_output_spec(
        self, inputs, positions=None, start_index=0, mask=None, grid=None
    ):
        grid, positions = _grid_sizes(grid), _as_tensor(positions)
        position_checks.check_shapes(self, inputs.shape, positions, start_index, grid)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self):
        names = (
            *self.size_names,
            "kind",
            "convention",
            "combination",
            "max_wavelength",
            "interpolation",
            "antialias",
            "align_corners",
            "out_of_range",
            "num_prefix_tokens",
        )
        initializer = initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "embeddings_initializer": initializer,
        }

    @property
    def skips_masked(self):
        """Whether masked tokens are left out of the count of positions."""
        return self._rules.skips_masked

    @property
    def _sizes(self):
        return [getattr(self, name) for name in self.size_names]

    @property
    def _rules(self):
        return CONVENTIONS[self.convention]

    def _groups(self):
        """Return how axes are combined, and the axes of each term in channel order."""
        default = self.default_combination[self.kind]
        rank = len(self.size_names)
        return make_groups(self._rules, rank, self.combination, default)

    def _build_tables(self, width):
        combination, groups = self._groups()
        widths = table_widths(width, combination, groups)
        self._table_names = []
        for group, table_width in zip(groups, widths, strict=True):
            names = [self.size_names[axis] for axis in group]
            whole = len(group) == len(self.size_names)
            name = "embeddings" if whole else "_".join([*names, "embeddings"])
            shape = (*(getattr(self, size) for size in names), table_width)
            setattr(self, name, self._add_table(name, shape))
            self._table_names.append(name)
        if self.num_prefix_tokens:
            shape = (self.num_prefix_tokens, width)
            self.prefix_embeddings = self._add_table("prefix_embeddings", shape)

    def _add_table(self, name, shape):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=tables.clone_initializer(self.embeddings_initializer),
            autocast=False,
        )

    def _build_waves(self, width):
        who, rules = type(self).__name__, self._rules
        if rules.linear_bands:
            rank = len(self.size_names)
            self._num_bands = make_bands(who, self.convention, width, rank)
            return
        self._waves = make_waves(
            who, self.convention, rules, width, self._groups(), self.max_wavelength
        )
        if rules.normalize:
            return
        declared, first = None, rules.first_index
        if all(self._sizes):
            declared = [range(first, first + size) for size in self._sizes]
        self._known_grid = KnownGrid(self._waves, width, rules.indexing, declared)

    def _read_known_grid(self, place):
        """Return the encoding of a grid that is known before the call, or `None`."""
        lines = place.axes
        is_known = place.is_grid and all(isinstance(line, range) for line in lines)
        if self._known_grid is None or not is_known or place.valid is not None:
            return None
        return self._known_grid.read(lines) if self._are_inside(lines) else None

    def _are_inside(self, lines):
        """Whether a grid is read as it is, without clipping or resizing."""
        for line, size in zip(lines, self._sizes, strict=True):
            if size is None or self.out_of_range == "error":
                continue
            is_resized = self.out_of_range == "resize" and len(lines) > 1
            if not is_within(line, size) or (is_resized and len(line) != size):
                return False
        return True

    def _locate(self, inputs, positions, start_index, mask, grid):
        rank, skip, rules = len(self.size_names), self.num_prefix_tokens, self._rules
        is_flat = rank == 1 or len(inputs.shape) == 3
        if positions is not None:
            axes = [positions[..., a] for a in range(rank)] if rank > 1 else [positions]
            return Coordinates(axes, None, 1 if is_flat else rank, is_grid=False)
        grid = self._sizes if grid is None else grid
        if rank == 1:
            place = locate_axes(inputs, [len(inputs.shape) - 2], skip)
        elif is_flat:
            place = locate_flat(inputs, grid, skip)
        else:
            place = locate_axes(inputs, range(1, rank + 1))
        if rules.skips_masked and mask is not None:
            mask = ops.cast(mask, "bool")[..., skip:]
            if rank > 1 and len(mask.shape) == 2:
                mask = ops.reshape(mask, (-1, *grid))
            place.count_valid(mask, rules.masked)
        place.start_at(start_index)
        if rules.first_index:
            place.axes = [shift(axis, rules.first_index) for axis in place.axes]
        return place

    def _encode_sinusoidal(self, place):
        rules = self._rules
        sizes = list(self._sizes if place.sizes is None else place.sizes)
        place.leave_grid()
        is_exact = self.out_of_range == "error"
        resized = place.bound(self._sizes, self.out_of_range, is_exact)
        axes = list(place.axes)
        for axis, native in enumerate(self._sizes):
            if resized[axis]:
                index = ops.cast(axes[axis], "float32")
                new_size = ops.cast(place.sizes[axis], "float32")
                axes[axis] = resize.source_position(index, new_size, native)
                sizes[axis] = native
        if rules.normalize:
            lasts = [
                ops.cast(tensor_or_known(size), "float32") - 1 + rules.first_index
                for size in sizes
            ]
            axes = [
                ops.cast(axis, "float32") * (rules.scale / (last + 1e-6))
                for axis, last in zip(axes, lasts, strict=True)
            ]
        if rules.linear_bands:
            return encoding.fourier_encoding(axes, sizes, self._num_bands)
        axes = encoding.reindex(axes, sizes, rules.indexing)
        return encoding.sinusoidal_encoding(axes, self._waves)

    def _encode_learned(self, place):
        combination, groups = self._groups()
        resized = place.bound(self._sizes, self.out_of_range)
        kernel = (self.interpolation, self.antialias, self.align_corners)
        tables = [ops.cast(getattr(self, n), "float32") for n in self._table_names]
        return encoding.learned_encoding(
            place, tables, groups, combination, kernel, resized
        )

    def _arrange(self, vectors, inputs, place, prefix=None):
        """Give vectors the shape of the tokens of `inputs`, prefix tokens in front."""
        if self.num_prefix_tokens and prefix is None:
            prefix = ops.zeros((self.num_prefix_tokens, vectors.shape[-1]))
        rank = len(self.size_names)
        return arrange(vectors, inputs, rank, place.token_rank, prefix)


def _as_tensor(positions):
    """Return positions that may be lists as something with a shape and a dtype."""
    if positions is None or hasattr(positions, "shape"):
        return positions
    return ops.convert_to_tensor(np.asarray(positions))


def _grid_sizes(grid):
    """Return a grid as a tuple of integers, or as a tensor where any is unknown."""
    if not isinstance(grid, (tuple, list)):
        return grid
    if all(isinstance(size, (int, np.integer)) for size in grid):
        return tuple(int(size) for size in grid)
    return ops.stack([ops.cast(size, "int32") for size in grid])
