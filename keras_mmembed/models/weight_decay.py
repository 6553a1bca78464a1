"""The weights of a model that should have no weight decay."""

import keras

from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.common import checks
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.layer import MultiModalFusion
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.fusion.segment import SegmentEmbedding
from keras_mmembed.positions.base import PositionEmbedding
from keras_mmembed.positions.box import BoxEmbedding

# layers whose own weights are tables, tokens and gates
TABLE_OWNERS = (
    BoxEmbedding,
    ModalityBranch,
    ModalityEmbedding,
    MultiModalFusion,
    PositionEmbedding,
    RelativePositionBias,
    SegmentEmbedding,
    ZeroGate,
)


def weights_without_decay(model: keras.layers.Layer) -> list[keras.Variable]:
    """Return the trainable weights that should be excluded from weight decay.

    These are embeddings of positions, modalities and segments, tables of relative
    position biases, special tokens (class, register, start, end and missing), gates,
    biases, and the scales of normalization layers. Decay would pull biases and scales to zero, and would shrink an embedding
    in every step in which no sample uses it.

    Args:
        model: A Keras model or layer that is built.

    Raises:
        TypeError: if `model` is no Keras layer or model.
        ValueError: if it is not built, and has no weights yet.

    Returns:
        A list of variables. Pass it to
        `optimizer.exclude_from_weight_decay(var_list=...)` before the optimizer is
        built.

    Example:
    >>> import keras
    >>> from keras_mmembed import PositionEmbedding1D, weights_without_decay
    >>> model = keras.Sequential([
    ...     keras.Input((None, 8)),
    ...     PositionEmbedding1D(32, kind="learned", name="position"),
    ...     keras.layers.Dense(4, name="head"),
    ... ])
    >>> excluded = weights_without_decay(model)
    >>> sorted("/".join(weight.path.split("/")[-2:]) for weight in excluded)
    ['head/bias', 'position/embeddings']
    >>> optimizer = keras.optimizers.AdamW()
    >>> optimizer.exclude_from_weight_decay(var_list=excluded)

    References:
        A. Dosovitskiy et al., "ViT", 2021, https://arxiv.org/abs/2010.11929, as
        timm trains it.
    """
    who, rule = "weights_without_decay", "be a Keras layer or model"
    is_layer = isinstance(model, keras.layers.Layer)
    checks.check(is_layer, who, "model", rule, repr(model), error=TypeError)
    rule, remedy = "be built, so that it has weights", "Call it on a batch first."
    checks.check(model.built, who, "model", rule, model.name, remedy)
    tables = {
        id(weight)
        for layer in model._flatten_layers()
        if isinstance(layer, TABLE_OWNERS)
        for weight in layer._trainable_variables
    }
    return [
        weight
        for weight in model.trainable_weights
        # the bias of an attention head has an axis for the heads
        if id(weight) in tables or len(weight.shape) <= 1 or weight.name == "bias"
    ]
