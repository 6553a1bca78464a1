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
    """All sines, then all cosines; with `endpoint`, down to the longest wavelength."""
    pairs = width // 2
    exponents = np.arange(pairs) / (pairs - 1 if endpoint else pairs)
    angles = np.asarray(positions, "float64")[..., None] / max_wavelength**exponents
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def patches(x, sizes, strides, remainder):
    """Windows of `(batch, axis, ..., channels)`, each in row-major order."""
    x = np.asarray(x, "float64")
    grid, rank = x.shape[1:-1], len(sizes)
    axes = list(zip(grid, sizes, strides, strict=True))
    if remainder == "pad":
        starts = [range(0, size, stride) for size, _, stride in axes]
    else:
        starts = [range(0, size - window + 1, stride) for size, window, stride in axes]
    x = np.pad(x, [(0, 0), *[(0, window) for window in sizes], (0, 0)])
    out = np.zeros((len(x), *map(len, starts), np.prod(sizes) * x.shape[-1]))
    for place in np.ndindex(*out.shape[1:-1]):
        at = [starts[a][place[a]] for a in range(rank)]
        window = tuple(slice(i, i + n) for i, n in zip(at, sizes, strict=True))
        out[(slice(None), *place)] = x[(slice(None), *window)].reshape(len(x), -1)
    return out


def slaney(hertz):
    """Mel of a frequency: straight below 1000 Hz, then 27 for each factor of 6.4."""
    return (
        hertz * 0.015 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)
    )


def mel_filters(convention, points, bins, rate):
    """Triangles over the mels of Kaldi or of Slaney, `(bins, points // 2 + 1)`."""
    is_ast = convention == "ast"
    hertz = np.arange(points // 2 + 1) * rate / points
    if is_ast:
        mels = 1127 * np.log1p(hertz / 700)
        low, high = 1127 * np.log1p(np.array([20, rate / 2]) / 700)
        corners, at = np.linspace(low, high, bins + 2), mels
    else:
        fine = np.linspace(0, rate / 2, 200001)
        scale = [slaney(f) for f in fine]
        corners = np.interp(np.linspace(0, scale[-1], bins + 2), scale, fine)
        at = hertz
    filters = np.array(
        [np.interp(at, corners[i : i + 3], [0, 1, 0]) for i in range(bins)]
    )
    if not is_ast:
        filters *= 2 / (corners[2:] - corners[:-2])[:, None]
    return filters


def log_mel(wave, convention, length, stride, bins, rate, frames):
    """The features of AST (those of Kaldi) or of Whisper, of one waveform."""
    is_ast = convention == "ast"
    points = 2 ** int(np.ceil(np.log2(length))) if is_ast else length
    filters = mel_filters(convention, points, bins, rate)
    tones = np.arange(points // 2 + 1)
    turns = np.arange(length) / (length - 1 if is_ast else length)
    window = np.sin(np.pi * turns) ** 2
    basis = np.exp(-2j * np.pi * np.outer(np.arange(length), tones) / points)
    half = 0 if is_ast else length // 2
    wave = np.concatenate([wave[half:0:-1], wave, np.zeros(2 * length)])
    rows = []
    for t in range(frames):
        frame = wave[t * stride : t * stride + length].astype("float64")
        if is_ast:
            frame = frame - frame.mean()
            frame = frame - 0.97 * np.append(frame[0], frame[:-1])
        rows.append(filters @ np.abs((frame * window) @ basis) ** 2)
    rows = np.array(rows)
    if is_ast:
        # what AudioSet has on average
        return (np.log(np.maximum(rows, 2.0**-23)) + 4.2677393) / (2 * 4.5689974)
    rows = np.log10(np.maximum(rows, 1e-10))
    return (np.maximum(rows, rows.max() - 8) + 4) / 4
