"""Samples of different sizes as one padded batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mmembed.common import checks

WHO = "pad_batch"
Sample = Mapping[str, Any]


def pad_batch(
    samples: Sequence[Sample],
    *,
    sizes: Mapping[str, Sequence[int] | int] | None = None,
    padding_values: Mapping[str, float] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Pad samples of different lengths and grids to the arguments of a fusion's call.

    A sample is a dict of arrays by modality, of which some may be missing. An array
    of one axis, such as ids or a waveform, has a length; one of more axes has features
    on its last axis, and on the others a length or a grid. A list of arrays is several
    images or clips, whose features come one behind the other.

    Shapes:
        samples: by name `(length,)`, `(length, dim)`, `(height, width, dim)` or
            `(frames, height, width, dim)`; or a list of the last two.
        inputs: by name, the same with a batch axis and the largest sizes; of lists
            `(batch, tokens, dim)`.
        mask: by name `(batch,)`, int32: the lengths of sequences.
        grids: by name `(batch, axes)`, int32: the grids of images and clips; of lists
            `(batch, items, axes)`, zeros for no item.
        present: by name `(batch,)`, bool.

    Args:
        samples: A list of dicts of arrays.
        sizes: By name, sizes to pad to, an integer or one for each axis, so that all
            batches have one shape, as compiled steps want it; of lists the number of
            tokens and that of items. The largest of the batch by default.
        padding_values: By name, the value of padding, such as the id of a vocabulary's
            padding token; 0 by default.

    Returns:
        A dict with `inputs`, `mask`, `grids` and `present`, for
        `fusion(**pad_batch(samples))`. Use it as the `collate_fn` of a PyTorch
        `DataLoader`, or in the `__getitem__` of a `keras.utils.PyDataset`.

    Raises:
        TypeError: if the samples are no list of dicts.
        ValueError: if there are no samples, or arrays of a modality differ in rank,
            width or kind, or exceed `sizes`.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalFusion, pad_batch
    >>> samples = [
    ...     {"text": np.array([5, 7, 9]), "image": np.ones((2, 3, 8), "float32")},
    ...     {"text": np.array([5])},
    ... ]
    >>> batch = pad_batch(samples)
    >>> batch["inputs"]["text"].tolist(), batch["mask"]["text"].tolist()
    ([[5, 7, 9], [5, 0, 0]], [3, 1])
    >>> batch["grids"]["image"].tolist(), batch["present"]["image"].tolist()
    ([[2, 3], [0, 0]], [True, False])
    >>> fusion = MultiModalFusion({
    ...     "text": {"type": "1d", "vocabulary_size": 10},
    ...     "image": {"type": "2d", "dim": 8},
    ... }, unified_dim=8)
    >>> tuple(fusion(**batch).shape)
    (2, 9, 8)
    """
    is_list = isinstance(samples, (list, tuple))
    fits = is_list and all(isinstance(sample, Mapping) for sample in samples)
    rule = "be a list of dicts of arrays"
    received = type(samples).__name__
    checks.check(fits, WHO, "samples", rule, received, error=TypeError)
    checks.check(len(samples) > 0, WHO, "samples", "hold at least one", "[]")
    sizes = _by_name("sizes", sizes)
    padding_values = _by_name("padding_values", padding_values)
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    checks.check_names(WHO, "samples", names)
    batch: dict[str, dict[str, np.ndarray]] = {
        "inputs": {},
        "mask": {},
        "grids": {},
        "present": {},
    }
    for name in names:
        if any(_is_several(sample.get(name)) for sample in samples):
            _pad_several(batch, name, samples, sizes.get(name), padding_values)
            continue
        arrays = [_array(name, sample.get(name)) for sample in samples]
        known = [array for array in arrays if array is not None]
        if not known:
            continue
        _check_alike(name, known)
        rank = max(known[0].ndim - 1, 1)
        extents = np.array(
            [[0] * rank if array is None else array.shape[:rank] for array in arrays],
            "int32",
        )
        size = _size(name, sizes.get(name), extents)
        width, dtype = known[0].shape[rank:], np.result_type(*known)
        shape = (len(samples), *size, *width)
        padded = np.full(shape, _padding(name, padding_values, dtype), dtype)
        for row, array in zip(padded, arrays, strict=True):
            if array is not None:
                row[tuple(slice(n) for n in array.shape[:rank])] = array
        batch["inputs"][name] = padded
        batch["present"][name] = np.array([array is not None for array in arrays])
        if rank == 1:
            batch["mask"][name] = extents[:, 0]
        else:
            batch["grids"][name] = extents
    return batch


def _is_several(value: Any) -> bool:
    """Whether a value is a list of images or clips."""
    is_list = isinstance(value, (list, tuple)) and len(value) > 0
    return is_list and all(len(getattr(one, "shape", ())) > 2 for one in value)


def _pad_several(
    batch: dict[str, dict[str, np.ndarray]],
    name: str,
    samples: Sequence[Sample],
    size: Sequence[int] | int | None,
    padding_values: Mapping[str, float],
) -> None:
    """Add a modality of which samples have several images or clips to a batch."""
    items: list[list[np.ndarray]] = []
    for sample in samples:
        value = sample.get(name)
        several = value if isinstance(value, (list, tuple)) else [value]
        arrays = [_array(name, one) for one in several]
        items.append([array for array in arrays if array is not None])
    known = [array for arrays in items for array in arrays]
    _check_alike(name, known)
    axes, width = known[0].ndim - 1, known[0].shape[-1]
    none = np.zeros((0, width), known[0].dtype)
    flat = [
        np.concatenate([none, *(array.reshape(-1, width) for array in arrays)])
        for arrays in items
    ]
    extents = np.array([[len(flat[i]), len(arrays)] for i, arrays in enumerate(items)])
    rule = "have two integers, the number of tokens and that of items"
    length, most = _size(name, size, extents, rule)
    dtype = np.result_type(*known)
    value = _padding(name, padding_values, dtype)
    padded = np.full((len(samples), length, width), value, dtype)
    grids = np.zeros((len(samples), most, axes), "int32")
    for row, tokens in enumerate(flat):
        padded[row, : len(tokens)] = tokens
        for index, array in enumerate(items[row]):
            grids[row, index] = array.shape[:-1]
    batch["inputs"][name], batch["grids"][name] = padded, grids
    batch["present"][name] = np.array([len(arrays) > 0 for arrays in items])


def _array(name: str, value: Any) -> np.ndarray | None:
    if value is None:
        return None
    argument = f"samples[...][{name!r}]"
    rule = "be an array of numbers with 1 to 4 axes"
    try:
        array = np.asarray(value)
    except ValueError:  # lists of several lengths, and tensors without values
        raise ValueError(checks.error_text(WHO, argument, rule, repr(value))) from None
    fits = array.dtype.kind in "iufb" and 1 <= array.ndim <= 4
    received = f"{array.dtype} {array.shape}"
    checks.check(fits, WHO, argument, rule, received)
    rule = "have a last axis of at least 1 feature"
    checks.check(array.ndim == 1 or array.shape[-1], WHO, argument, rule, received)
    return array


def _by_name(argument: str, values: Any) -> dict[str, Any]:
    """Return values by modality; no sample of the batch need have the modality."""
    values = {} if values is None else values
    is_dict = isinstance(values, Mapping)
    is_dict = is_dict and all(isinstance(name, str) for name in values)
    rule, received = "be a dict by modality", repr(values)
    checks.check(is_dict, WHO, argument, rule, received, error=TypeError)
    return dict(values)


def _padding(name: str, values: Mapping[str, Any], dtype: np.dtype) -> Any:
    """Return the value of padding, which must be one of the dtype of the arrays."""
    value, argument = values.get(name, 0), f"padding_values[{name!r}]"
    if dtype.kind == "b":
        return checks.check_flag(WHO, argument, bool(value) if value == 0 else value)
    if dtype.kind == "f":
        return checks.check_number(WHO, argument, value, -np.inf, np.inf)
    info = np.iinfo(dtype)
    return checks.check_integer(
        WHO, argument, value, minimum=int(info.min), maximum=int(info.max)
    )


def _check_alike(name: str, arrays: Sequence[np.ndarray]) -> None:
    """Raise unless the arrays of a modality have one rank, width and kind."""
    kinds = {(a.ndim, a.shape[1:][-1:], a.dtype.kind.replace("u", "i")) for a in arrays}
    rule = "have one rank, width and kind of dtype in all samples"
    received = [f"{array.dtype} {array.shape}" for array in arrays[:4]]
    checks.check(len(kinds) == 1, WHO, f"samples[...][{name!r}]", rule, received)


def _size(
    name: str,
    size: Sequence[int] | int | None,
    extents: np.ndarray,
    rule: str | None = None,
) -> tuple[int, ...]:
    """Return the padded sizes of a modality, an integer for each axis."""
    largest = tuple(int(n) for n in extents.max(axis=0))
    if size is None:
        return largest
    argument = f"sizes[{name!r}]"
    one_each = size if isinstance(size, (list, tuple)) else [size]
    rule = rule or f"have an integer for each of the {len(largest)} axes"
    checks.check(len(one_each) == len(largest), WHO, argument, rule, size)
    found = tuple(checks.check_integer(WHO, argument, n, minimum=0) for n in one_each)
    rule = f"be at least the largest of the batch, {largest}"
    fits = all(n >= least for n, least in zip(found, largest, strict=True))
    checks.check(fits, WHO, argument, rule, found)
    return found
