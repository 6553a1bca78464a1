"""What cuts fused tensors back in their modalities: a layer, and functions of it."""

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import as_mask, product
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.placement import match, place
from keras_mmembed.fusion.tokens import all_valid, flatten_tokens, token_count

WHO = "MultiModalFusion"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ModalitySplit(keras.layers.Layer):
    """Cuts a fused tensor in one piece per modality.

    `split` makes and calls this layer, so that a split can be part of a functional
    model and its file.
    """

    def __init__(self, layout, *, grids=False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        is_config = isinstance(layout, dict)
        self.layout = Layout.from_config(layout) if is_config else layout
        self.grids = grids

    def call(self, inputs, mask=None):
        return self._cut(inputs["tensor"], inputs, mask)

    def compute_mask(self, inputs, previous_mask=None):
        mask = (previous_mask or {}).get("tensor")
        if mask is None or isinstance(mask, keras.KerasTensor):
            return None  # a model finds the mask that the call attaches
        return self._cut(mask, inputs, previous_mask)

    def compute_output_spec(self, inputs, mask=None):
        tensor = inputs["tensor"]
        self._check_length(tensor, inputs["like"])
        return {
            name: keras.KerasTensor(
                (tensor.shape[0], *self._axes(x.shape), *tensor.shape[2:]),
                dtype=tensor.dtype,
            )
            for name, x in inputs["like"].items()
        }

    def get_config(self):
        layout = self.layout.get_config()
        return {**super().get_config(), "layout": layout, "grids": self.grids}

    def _cut(self, tensor, inputs, masks):
        like = inputs["like"]
        self._check_length(tensor, like)
        lengths = {n: product(ops.shape(x)[1:-1]) for n, x in like.items()}
        pieces = {
            name: tensor[:, start : start + lengths[name]]
            for name, start in self.layout.starts(lengths).items()
        }
        for name in self.layout.hosts:
            if name in like:
                pieces[name] = self._take_out(name, tensor, inputs, masks)
        for name, x in like.items():
            if self.grids and len(x.shape) > 3:
                shape = ops.shape(pieces[name])
                axes = ops.shape(x)[1:-1]
                pieces[name] = ops.reshape(pieces[name], (shape[0], *axes, *shape[2:]))
        return {name: pieces[name] for name in like}

    def _take_out(self, name, tensor, inputs, masks):
        """Return the tokens of a placed modality, in the order they had before."""
        tokens = flatten_tokens(inputs["like"][name])
        mask = inputs["valid"].get(name, ((masks or {}).get("like") or {}).get(name))
        valid = all_valid(tokens) if mask is None else as_mask(mask, tokens)
        index = self.layout.modalities.index(name)
        here = ops.equal(inputs["modality_ids"], index)
        empty = ops.zeros_like(tokens[..., 0], dtype=tensor.dtype)
        for _ in tensor.shape[2:]:
            empty = ops.expand_dims(empty, -1)
        route = match(valid, here)
        return place(empty, tensor, *route)

    def _axes(self, shape):
        return shape[1:-1] if self.grids else (token_count(shape),)

    def _check_length(self, tensor, like):
        lengths = {n: token_count(x.shape) for n, x in like.items()}
        total = self.layout.total(lengths)
        if total is None or not isinstance(tensor.shape[1], int):
            return
        rule = f"have the fused length {total} on its second axis"
        shape = tuple(tensor.shape)
        checks.check(shape[1] == total, WHO, "tensor", rule, shape)


def split(layout, tensor, like, *, grids=False, modality_ids=None, mask=None):
    """Cut a tensor of the fused length in its modalities.

    Args:
        layout: The order of the tokens.
        tensor: `(batch, fused length, ...)`.
        like: By name, in the order of the layout, features of the fused shapes.
        grids: Whether what came as a grid goes back to a grid.
        modality_ids: The ids that the fusion returned, if modalities are placed.
        mask: By name, the masks that the fusion was given, or `None`.
    """
    rule = "be (batch, fused length, ...)"
    checks.check(len(tensor.shape) > 1, WHO, "tensor", rule, tuple(tensor.shape))
    inputs = {"tensor": tensor, "like": like}
    if layout.hosts:
        rule = "be given, because modalities are placed into others"
        checks.check(modality_ids is not None, WHO, "modality_ids", rule, None)
        masks = {name: (mask or {}).get(name) for name in layout.hosts if name in like}
        inputs["modality_ids"] = modality_ids
        inputs["valid"] = {n: m for n, m in masks.items() if m is not None}
    return ModalitySplit(layout, grids=grids)(inputs)


def split_attention(layout, scores, like, **places):
    """Cut `(batch, heads, fused length, fused length)` in blocks by query and key.

    Args:
        layout: The order of the tokens.
        scores: The weights of attention.
        like: As for `split`.
        **places: `modality_ids` and `mask`, as for `split`.
    """
    axes = "(batch, heads, fused length, fused length)"
    checks.check_rank(WHO, "scores.shape", scores.shape, (4,), axes)
    blocks = {}
    rows = split(layout, ops.transpose(scores, (0, 2, 1, 3)), like, **places)
    for query, row in rows.items():
        row = ops.transpose(row, (0, 3, 1, 2))
        blocks[query] = {
            key: ops.transpose(block, (0, 3, 2, 1))
            for key, block in split(layout, row, like, **places).items()
        }
    return blocks
