"""Cuts fused tensors back into their modalities: a layer, and functions of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.common.types import Config, Shape, Tensor
from keras_mmembed.fusion import split_checks
from keras_mmembed.fusion.checks import Branches, check_dict, check_keys
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.placement import match, place
from keras_mmembed.fusion.special_tokens import without_row_ends
from keras_mmembed.fusion.tokens import all_valid, flatten_tokens, known_product

WHO = "MultiModalFusion"


class SplitsTokens:
    """The part of a fusion layer that cuts what it fused back into modalities."""

    layout: Layout
    if TYPE_CHECKING:

        def _branches(self) -> Branches: ...

    def split(
        self,
        tensor: Tensor,
        like: Mapping[str, Tensor | None],
        grids: bool = False,
        modality_ids: Tensor | None = None,
        mask: Mapping[str, Tensor | None] | None = None,
    ) -> dict[str, Tensor]:
        """Cut a tensor of the fused length back into its modalities.

        Args:
            tensor: `(batch, fused length, ...)`, such as the output of an encoder.
            like: The inputs of the fusion; their shapes give the lengths. Raw inputs
                of an `embedding` must have a known size in a functional model.
            grids: Whether images and videos that came as grids go back to grids.
                Defaults to `False`.
            modality_ids: The ids that the fusion returned; needed where modalities
                are placed into others, because only they tell the places. Defaults to
                `None`.
            mask: The padding masks of placed modalities, as in the call of the fusion.
                Defaults to `None`, those of Keras.

        Returns:
            A dict by name of `(batch, length, ...)`, or `(batch, height, width, ...)`
            and the like with `grids`, for each modality of `like`. What belongs to a
            placed token stands in its host's slice and in its own; a token that found
            no place gets zeros.
        """
        like = self._features_like(like)
        tensor = as_array(WHO, "tensor", tensor)
        grids = checks.check_flag(WHO, "grids", grids)
        options = {"grids": grids, "modality_ids": modality_ids, "mask": mask}
        return split(self.layout, tensor, like, **options)

    def split_spec(
        self, tensor: keras.KerasTensor, shapes: Mapping[str, Shape | None]
    ) -> dict[str, keras.KerasTensor]:
        """Return the symbolic outputs of `split` for a symbolic tensor.

        Args:
            tensor: A `KerasTensor`.
            shapes: By name, the shapes of the inputs of the fusion.
        """
        branches = self._branches()
        features = {
            name: branches[name].features_shape(shape)
            for name, shape in self.layout.in_order(shapes).items()
        }
        return split_spec(self.layout, tensor, features)

    def split_attention(
        self,
        scores: Tensor,
        like: Mapping[str, Tensor | None],
        modality_ids: Tensor | None = None,
        mask: Mapping[str, Tensor | None] | None = None,
    ) -> dict[str, dict[str, Tensor]]:
        """Cut attention scores into blocks, one for each pair of modalities.

        Args:
            scores: `(batch, heads, fused length, fused length)`, as
                `MultiHeadAttention` returns them with `return_attention_scores`.
            like: The inputs of the fusion.
            modality_ids: As for `split`.
            mask: As for `split`.

        Returns:
            `blocks[query][key]` of `(batch, heads, query length, key length)`, by the
            names of the modalities of the queries and keys.
        """
        like = self._features_like(like)
        scores = as_array(WHO, "scores", scores)
        return split_attention(
            self.layout, scores, like, modality_ids=modality_ids, mask=mask
        )

    def _features_like(self, inputs: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """Return tensors with the axes of the features of inputs."""
        check_dict(inputs, "like")
        check_keys("like", inputs, self.layout.modalities)
        inputs = {name: x for name, x in inputs.items() if x is not None}
        inputs = split_checks.check_like(inputs)
        inputs, branches = self.layout.in_order(inputs), self._branches()
        return {name: branches[name].features_like(x) for name, x in inputs.items()}


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ModalitySplit(keras.layers.Layer):
    """Cuts a fused tensor into one piece per modality.

    `split` makes and calls this layer, so that a split can be part of a functional
    model and its file.

    Args:
        layout: The order of the tokens, or its configuration.
        grids: Whether a modality that came as a grid goes back to a grid; `False` by
            default.
        **kwargs: As for every Keras layer.
    """

    def __init__(
        self, layout: Layout | Config, *, grids: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        is_config = isinstance(layout, dict)
        self.layout: Layout = Layout.from_config(layout) if is_config else layout
        self.grids: bool = grids

    def call(
        self, inputs: Mapping[str, Any], mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        return self._cut(inputs["tensor"], inputs, mask)

    def compute_mask(
        self, inputs: Mapping[str, Any], previous_mask: Any = None
    ) -> dict[str, Tensor] | None:
        mask = (previous_mask or {}).get("tensor")
        if mask is None or isinstance(mask, keras.KerasTensor):
            return None  # a model finds the mask that the call attaches
        return self._cut(mask, inputs, previous_mask)

    def compute_output_spec(
        self, inputs: Mapping[str, Any], mask: Tensor | None = None
    ) -> dict[str, keras.KerasTensor]:
        tensor = inputs["tensor"]
        self._check_length(tensor, inputs["like"])
        return {
            name: keras.KerasTensor(
                (tensor.shape[0], *self._axes(x.shape), *tensor.shape[2:]),
                dtype=tensor.dtype,
            )
            for name, x in inputs["like"].items()
        }

    def get_config(self) -> Config:
        layout = self.layout.get_config()
        return {**super().get_config(), "layout": layout, "grids": self.grids}

    def _cut(
        self, tensor: Tensor, inputs: Mapping[str, Any], masks: Any
    ) -> dict[str, Tensor]:
        like = inputs["like"]
        self._check_length(tensor, like)
        axes = {name: _token_axes(ops.shape(x)) for name, x in like.items()}
        lengths = {n: self.layout.length(n, sizes) for n, sizes in axes.items()}
        pieces = {
            name: tensor[:, start : start + lengths[name]]
            for name, start in self.layout.starts(lengths).items()
        }
        for name in self.layout.hosts:
            if name in like:
                pieces[name] = self._take_out(name, tensor, inputs, masks)
        for name, sizes in axes.items():
            if name in self.layout.rows and name not in self.layout.hosts:
                pieces[name] = without_row_ends(pieces[name], sizes)
            if self.grids and len(sizes) > 1:
                shape = ops.shape(pieces[name])
                pieces[name] = ops.reshape(pieces[name], (shape[0], *sizes, *shape[2:]))
        return {name: pieces[name] for name in like}

    def _take_out(
        self, name: str, tensor: Tensor, inputs: Mapping[str, Any], masks: Any
    ) -> Tensor:
        """Return the tokens of a placed modality, in the order they had before."""
        x = inputs["like"][name]
        tokens = flatten_tokens(ops.expand_dims(x, -1) if len(x.shape) == 2 else x)
        mask = inputs["valid"].get(name, ((masks or {}).get("like") or {}).get(name))
        valid = all_valid(tokens) if mask is None else as_mask(mask, tokens)
        index = self.layout.modalities.index(name)
        here = ops.equal(inputs["modality_ids"], index)
        empty = ops.zeros_like(tokens[..., 0], dtype=tensor.dtype)
        for _ in tensor.shape[2:]:
            empty = ops.expand_dims(empty, -1)
        return place(empty, tensor, match(valid, here))

    def _axes(self, shape: Shape) -> Shape:
        axes = _token_axes(shape)
        return axes if self.grids else (known_product(axes),)

    def _check_length(self, tensor: Tensor, like: Mapping[str, Tensor]) -> None:
        batch = checks.known_shape(tensor.shape)[:1]
        for name, x in like.items():
            rule = f"have the batch size {batch[0]} of the tensor"
            shape = checks.known_shape(x.shape)
            fits = checks.shapes_match(shape[:1], batch)
            checks.check(fits, WHO, f"like[{name!r}].shape", rule, shape)
        lengths = {
            name: self.layout.length(name, _token_axes(x.shape))
            for name, x in like.items()
        }
        total = self.layout.total(lengths)
        if total is None or not isinstance(tensor.shape[1], int):
            return
        rule = f"have the fused length {total} on its second axis"
        shape = tuple(tensor.shape)
        checks.check(shape[1] == total, WHO, "tensor", rule, shape)


def split(
    layout: Layout,
    tensor: Tensor,
    like: Mapping[str, Tensor],
    *,
    grids: bool = False,
    modality_ids: Tensor | None = None,
    mask: Mapping[str, Tensor | None] | None = None,
) -> dict[str, Tensor]:
    """Cut a tensor of the fused length into its modalities.

    Args:
        layout: The order of the tokens.
        tensor: `(batch, fused length, ...)`.
        like: By name, in the order of the layout, features, or ids `(batch, length)`.
        grids: Whether what came as a grid goes back to a grid.
        modality_ids: The ids that the fusion returned, if modalities are placed.
        mask: By name, the masks that the fusion was called with, or `None`.
    """
    rule = "be (batch, fused length, ...)"
    checks.check(len(tensor.shape) > 1, WHO, "tensor", rule, tuple(tensor.shape))
    inputs = {"tensor": tensor, "like": like}
    fused = checks.known_shape(tensor.shape)[:2]
    modality_ids = split_checks.check_ids(modality_ids, fused, len(layout.modalities))
    mask = {} if mask is None else mask
    check_dict(mask, "mask")
    check_keys("mask", mask, layout.modalities)
    mask = {
        name: split_checks.check_mask(
            name, mask.get(name), checks.known_shape(_token_axes(x.shape)), fused[0]
        )
        for name, x in like.items()
    }
    if layout.hosts:
        rule = "be given, because modalities are placed into others"
        checks.check(modality_ids is not None, WHO, "modality_ids", rule, None)
        masks = {name: mask[name] for name in layout.hosts if name in like}
        inputs["modality_ids"] = modality_ids
        inputs["valid"] = {n: m for n, m in masks.items() if m is not None}
    return ModalitySplit(layout, grids=grids)(inputs)


def split_spec(
    layout: Layout, tensor: keras.KerasTensor, shapes: Mapping[str, Shape]
) -> dict[str, keras.KerasTensor]:
    """Return the symbolic outputs of `split` for features of some shapes."""
    like = {name: keras.KerasTensor(shape) for name, shape in shapes.items()}
    inputs = {"tensor": tensor, "like": like}
    return ModalitySplit(layout).compute_output_spec(inputs)


def split_attention(
    layout: Layout,
    scores: Tensor,
    like: Mapping[str, Tensor],
    *,
    modality_ids: Tensor | None = None,
    mask: Mapping[str, Tensor | None] | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Cut `(batch, heads, fused length, fused length)` in blocks by query and key.

    Args:
        layout: The order of the tokens.
        scores: The attention weights.
        like: As for `split`.
        modality_ids: As for `split`.
        mask: As for `split`.
    """
    axes = "(batch, heads, fused length, fused length)"
    checks.check_rank(WHO, "scores.shape", scores.shape, (4,), axes)

    def cut(tensor: Tensor) -> dict[str, Tensor]:
        return split(layout, tensor, like, modality_ids=modality_ids, mask=mask)

    blocks = {}
    for query, row in cut(ops.transpose(scores, (0, 2, 1, 3))).items():
        keys = cut(ops.transpose(row, (0, 3, 1, 2)))
        blocks[query] = {
            key: ops.transpose(block, (0, 3, 2, 1)) for key, block in keys.items()
        }
    return blocks


def _token_axes(shape: Shape) -> Shape:
    """Return the token axes of ids `(batch, length)`, or of features."""
    return shape[1:] if len(shape) == 2 else shape[1:-1]
