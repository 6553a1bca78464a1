"""The formulas in NumPy float64, written from the papers, for use as oracles."""

import numpy as np


def interleaved(positions, width, max_wavelength=10000.0):
    """PE(p, 2i) = sin(p / w^(2i/d)), PE(p, 2i+1) = cos(the same): Vaswani 2017, 3.5."""
    table = np.zeros((len(positions), width))
    for row, position in enumerate(positions):
        for channel in range(width):
            pair = channel // 2
            angle = float(position) / max_wavelength ** (2 * pair / width)
            table[row, channel] = np.cos(angle) if channel % 2 else np.sin(angle)
    return table


def grid(height, width, channels):
    """PE(h, w) = [PE_height(h), PE_width(w)], `(height, width, channels)`."""
    first = (channels + 1) // 2
    rows = interleaved(range(height), first)
    columns = interleaved(range(width), channels - first)
    table = np.zeros((height, width, channels))
    for h in range(height):
        for w in range(width):
            table[h, w] = np.concatenate([rows[h], columns[w]])
    return table


def clip(frames, height, width, channels):
    """PE(t, h, w) = PE_temporal(t) + PE_spatial(h, w)."""
    time = interleaved(range(frames), channels)
    return time[:, None, None] + grid(height, width, channels)[None]


def layer_norm(x, gamma, beta, epsilon):
    x = np.asarray(x, dtype="float64")
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def fused(features, projections, encodings, vectors, segments, gamma, beta, epsilon):
    """LayerNorm(x W + b + PE + M + S) of each modality, concatenated."""
    parts = []
    for name, x in features.items():
        x = np.asarray(x, dtype="float64")
        if name in projections:
            kernel, bias = projections[name]
            x = x @ kernel + bias
        x = x + encodings.get(name, 0.0) + vectors[name] + segments.get(name, 0.0)
        parts.append(layer_norm(x, gamma, beta, epsilon))
    return np.concatenate(parts, axis=1)


TEXT_AND_IMAGE = {
    "text": {"type": "1d", "max_len": 20, "dim": 8},
    "image": {"type": "2d", "height": 3, "width": 4, "dim": 6},
}


def halves(positions, width, endpoint=False, max_wavelength=10000.0):
    """All sines, then all cosines; the last wave is the longest with `endpoint`."""
    pairs = width // 2
    exponents = np.arange(pairs) / (pairs - 1 if endpoint else pairs)
    angles = np.asarray(positions, "float64")[..., None] / max_wavelength**exponents
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
