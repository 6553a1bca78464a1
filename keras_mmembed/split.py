"""The layer that cuts a fused sequence back in its modalities."""

import keras
from keras import ops

from keras_mmembed import _checks, _tokens
from keras_mmembed._layout import Layout
from keras_mmembed._placement import match, place


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ModalitySplit(keras.layers.Layer):
    """Cuts a fused tensor in one piece per modality.

    `MultiModalFusion.split` makes and calls this layer, so that a split can be part
    of a functional model and its file.
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
        lengths = {n: _tokens.product(ops.shape(x)[1:-1]) for n, x in like.items()}
        pieces = {
            name: tensor[:, start : start + lengths[name]]
            for name, start in self.layout.starts(lengths).items()
        }
        for name, host in self.layout.hosts.items():
            if name in like:
                pieces[name] = self._take_out(name, host, tensor, inputs, masks)
        for name, x in like.items():
            if self.grids and len(x.shape) > 3:
                shape = ops.shape(pieces[name])
                axes = ops.shape(x)[1:-1]
                pieces[name] = ops.reshape(pieces[name], (shape[0], *axes, *shape[2:]))
        return {name: pieces[name] for name in like}

    def _take_out(self, name, host, tensor, inputs, masks):
        """Return the tokens of a placed modality, in the order they had before."""
        tokens = _tokens.flatten_tokens(inputs["like"][name])
        mask = inputs["valid"].get(name, ((masks or {}).get("like") or {}).get(name))
        valid = (
            _tokens.all_valid(tokens) if mask is None else _tokens.as_mask(mask, tokens)
        )
        index = self.layout.modalities.index(name)
        here = ops.equal(inputs["modality_ids"], index)
        empty = ops.zeros_like(tokens[..., 0], dtype=tensor.dtype)
        for _ in tensor.shape[2:]:
            empty = ops.expand_dims(empty, -1)
        route = match(valid, here)
        return place(empty, tensor, *route)

    def _axes(self, shape):
        return shape[1:-1] if self.grids else (_tokens.token_count(shape),)

    def _check_length(self, tensor, like):
        lengths = {n: _tokens.token_count(x.shape) for n, x in like.items()}
        total = self.layout.total(lengths)
        if total is None or not isinstance(tensor.shape[1], int):
            return
        rule = f"have the fused length {total} on its second axis"
        shape = tuple(tensor.shape)
        _checks.check(shape[1] == total, "MultiModalFusion", "tensor", rule, shape)
