"""The layer that says which token of a fused sequence may attend to which."""

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import count

WHO = "AttentionMask"
EVERYONE = "*"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class AttentionMask(keras.layers.Layer):
    """Says which token of a fused sequence may attend to which.

    Query `q` may attend to key `k` if

        valid(k)  and  example(q) = example(k)  and  m(k) not in hidden[m(q)]
                  and  (not causal  or  k <= q  or  m(k) in prefix)      or  q = k

    with `m` the modality of a token. Every token may attend to itself, so that no row
    is empty: what attention gives for an empty row differs between backends, and on
    PyTorch its gradients are wrong.

    Shapes:
        fused: what `MultiModalFusion` returns with `return_dict=True`, of which
            `mask` and `modality_ids`, both `(batch, length)`, are read.
        example_ids: `(batch, length)`, integer.
        outputs: `(batch, length, length)`, bool, as `attention_mask` of
            `keras.layers.MultiHeadAttention`.

    Args:
        modalities: Names of the modalities, in the order of their ids; those of the
            fusion are `fusion.modalities`.
        causal: Whether a token may attend only to itself and to those before it.
        prefix: Names of modalities to which every token may attend although it is
            causal, such as the image that a text describes.
        hidden: By name of a modality, the names of those that it may not attend to;
            by `"*"`, those that no token but their own may. All tokens may attend to
            class, register, start and end tokens, whose id is -1, and these to all
            that `"*"` does not hide.
        **kwargs: `name`, as for every Keras layer.

    Call arguments:
        fused: The outputs of the fusion.
        example_ids: Which example each token belongs to, where a row holds several.

    Masking: the mask is read from `fused`; give the result to every attention layer.
    The one that `MultiHeadAttention` finds on its inputs, it clears.

    Raises:
        TypeError: if `example_ids` is not integer, or an argument of the wrong type.
        ValueError: if a name is not among the modalities, or `fused` lacks a key.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import (AttentionMask, MultiModalFusion)
    >>> fusion = MultiModalFusion({
    ...     "image": {"type": "none", "dim": 8},
    ...     "text": {"type": "1d", "dim": 8},
    ... }, unified_dim=8, return_dict=True)
    >>> fused = fusion({"image": np.ones((1, 2, 8)), "text": np.ones((1, 3, 8))})
    >>> layer = AttentionMask(fusion.modalities, causal=True, prefix=["image"])
    >>> keras.ops.convert_to_numpy(layer(fused)[0]).astype(int)
    array([[1, 1, 0, 0, 0],
           [1, 1, 0, 0, 0],
           [1, 1, 1, 0, 0],
           [1, 1, 1, 1, 0],
           [1, 1, 1, 1, 1]])

    References:
        C. Raffel et al., "T5", 2020, section 3.2.1, https://arxiv.org/abs/1910.10683
        (causal with a prefix).
    """

    def __init__(self, modalities, *, causal=False, prefix=(), hidden=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.modalities = checks.check_names(WHO, "modalities", modalities)
        rule = "be True or False"
        is_bool = isinstance(causal, bool)
        checks.check(is_bool, WHO, "causal", rule, repr(causal), error=TypeError)
        self.causal = causal
        self.prefix = self._check_known("prefix", prefix)
        rule = "be a dict of lists of names"
        is_dict = hidden is None or isinstance(hidden, dict)
        checks.check(is_dict, WHO, "hidden", rule, repr(hidden), error=TypeError)
        self._check_known("hidden", [n for n in hidden or {} if n != EVERYONE])
        self.hidden = {
            name: list(self._check_known(f"hidden[{name!r}]", keys))
            for name, keys in (hidden or {}).items()
        }

    def _check_known(self, argument, names):
        rule = f"hold only names among {list(self.modalities)}"
        is_list = isinstance(names, (list, tuple))
        fits = is_list and all(name in self.modalities for name in names)
        checks.check(fits, WHO, argument, rule, repr(names))
        return tuple(names)

    def build(self, fused_shape, example_ids_shape=None):
        self.built = True

    def call(self, fused, example_ids=None):
        self._check_call(fused, example_ids)
        valid, ids = ops.cast(fused["mask"], "bool"), fused["modality_ids"]
        # a class or register token has the id -1 and the first row of the tables
        rows = ops.cast(ids, "int32") + 1
        allowed = ops.expand_dims(valid, 1)
        place = count(rows, axis=1)
        query, key = ops.expand_dims(place, 1), ops.expand_dims(place, 0)
        if self.causal:
            is_prefix = np.array([False, *(m in self.prefix for m in self.modalities)])
            prefix = ops.expand_dims(_look_up(is_prefix, rows), 1)
            allowed = ops.logical_and(
                allowed, ops.logical_or(ops.less_equal(key, query), prefix)
            )
        if self.hidden:
            size = len(self.modalities) + 1
            pairs = ops.expand_dims(rows, 2) * size + ops.expand_dims(rows, 1)
            seen = _look_up(self._visible().ravel(), pairs)
            allowed = ops.logical_and(allowed, seen)
        if example_ids is not None:
            examples = ops.convert_to_tensor(example_ids)
            same = ops.equal(ops.expand_dims(examples, 2), ops.expand_dims(examples, 1))
            allowed = ops.logical_and(allowed, same)
        return ops.logical_or(allowed, ops.equal(query, key))

    def _visible(self):
        visible = np.ones((len(self.modalities) + 1,) * 2, dtype=bool)
        for name, keys in self.hidden.items():
            for key in keys:
                column = self.modalities.index(key) + 1
                if name == EVERYONE:
                    visible[np.arange(len(visible)) != column, column] = False
                else:
                    visible[self.modalities.index(name) + 1, column] = False
        return visible

    def _check_call(self, fused, example_ids):
        checks.check_fused(WHO, fused, ("mask", "modality_ids"))
        if example_ids is None:
            return
        example_ids = ops.convert_to_tensor(example_ids)
        checks.check_kind(WHO, "example_ids", example_ids, "integer")
        shape = checks.known_shape(example_ids.shape)
        expected = checks.known_shape(fused["mask"].shape)
        rule = f"have the shape {expected} of the fused mask"
        agrees = checks.shapes_match(shape, expected)
        checks.check(agrees, WHO, "example_ids.shape", rule, shape)

    def compute_mask(self, fused, previous_mask=None):
        # a mask of masks would be read as one of tokens
        return None

    def compute_output_spec(self, fused, example_ids=None):
        self._check_call(fused, example_ids)
        batch, length = fused["mask"].shape
        return keras.KerasTensor((batch, length, length), dtype="bool")

    def get_config(self):
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "causal": self.causal,
            "prefix": list(self.prefix),
            "hidden": self.hidden,
        }


def _look_up(table, index):
    return ops.take(ops.convert_to_tensor(table), index, axis=0)
