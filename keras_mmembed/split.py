"""Layers that carry a mask past arithmetic, and cut a fused sequence back."""

import keras
from keras import ops

from keras_mmembed import _checks, _tokens


@keras.saving.register_keras_serializable(package="keras_mmembed")
class AttachMask(keras.layers.Layer):
    """Attaches a Keras mask to a tensor: `layer([tensor, mask])`."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.built = True  # Keras quantises no layer that is not

    def call(self, inputs):
        return inputs[0]

    def compute_mask(self, inputs, previous_mask=None):
        return inputs[1]

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ModalitySplit(keras.layers.Layer):
    """Cuts a fused tensor in one piece per modality: `layer([tensor, like])`.

    `MultiModalFusion.split` makes and calls this layer, so that a split can be part
    of a functional model and its file.
    """

    def __init__(
        self, modalities, num_special=0, *, counts_absent=False, grids=False, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.modalities = tuple(modalities)
        self.num_special = num_special
        self.counts_absent = counts_absent
        self.grids = grids

    def call(self, inputs):
        tensor, like = inputs
        return self._cut(tensor, like)

    def compute_mask(self, inputs, previous_mask=None):
        mask, like = previous_mask[0], inputs[1]
        if mask is None:
            return None
        if isinstance(inputs[0], keras.KerasTensor):
            pieces = self.compute_output_spec(inputs)
            return {
                name: keras.KerasTensor(
                    piece.shape[: 1 + len(self._axes(like[name].shape))], dtype="bool"
                )
                for name, piece in pieces.items()
            }
        return self._cut(mask, like)

    def compute_output_spec(self, inputs):
        tensor, like = inputs
        self._check_length(tensor, like)
        return {
            name: keras.KerasTensor(
                (
                    tensor.shape[0],
                    *self._axes(like[name].shape),
                    *tensor.shape[2:],
                ),
                dtype=tensor.dtype,
            )
            for name in self.modalities
            if name in like
        }

    def get_config(self):
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "num_special": self.num_special,
            "counts_absent": self.counts_absent,
            "grids": self.grids,
        }

    def _cut(self, tensor, like):
        self._check_length(tensor, like)
        pieces, start = {}, self.num_special
        for name in self.modalities:
            if name in like:
                length = _tokens.product(ops.shape(like[name])[1:-1])
                piece = tensor[:, start : start + length]
                if self.grids and len(like[name].shape) > 3:
                    shape = ops.shape(piece)
                    axes = ops.shape(like[name])[1:-1]
                    piece = ops.reshape(piece, (shape[0], *axes, *shape[2:]))
                pieces[name] = piece
                start = start + length
            elif self.counts_absent:
                start = start + 1
        return pieces

    def _axes(self, shape):
        return shape[1:-1] if self.grids else (_tokens.token_count(shape),)

    def _check_length(self, tensor, like):
        lengths = [_tokens.token_count(x.shape) for x in like.values()]
        absent = len(self.modalities) - len(like) if self.counts_absent else 0
        if None in lengths or not isinstance(tensor.shape[1], int):
            return
        total = self.num_special + sum(lengths) + absent
        rule = f"have the fused length {total} on its second axis"
        shape = tuple(tensor.shape)
        _checks.check(shape[1] == total, "MultiModalFusion", "tensor", rule, shape)
