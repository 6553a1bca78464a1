"""Position ids of mixed sequences by a walk over their items, token by token."""

import itertools

from mixed_sequences import AUDIO, IMAGE, MODALITIES, TEXT, VIDEO

RULES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen2_5_omni", "seconds", "hunyuan_vl")
TIMED = ("qwen2_5_vl", "qwen2_5_omni", "seconds")


def items_of(rule, sample):
    """Return the items of a sample as lists of (modality, coordinates, rate)."""
    tokens = zip(
        sample.modality, sample.coordinates, sample.rate, sample.item, strict=True
    )

    def key(numbered):
        place, (modality, coordinates, _, item) = numbered
        alone = modality == TEXT or (
            modality == AUDIO and rule not in ("qwen2_5_omni", "seconds")
        )
        if alone:
            return ("token", place)
        return (item, coordinates[0] if rule == "qwen3_vl" else None)

    return [
        [token[:3] for _, token in group]
        for _, group in itertools.groupby(enumerate(tokens), key)
    ]


def walk(rule, sample):
    """Return the positions of a sample, and the next one."""
    positions, begin, images = [], 0, 0
    for item in items_of(rule, sample):
        is_grid = item[0][0] in (IMAGE, VIDEO)
        local = []
        for modality, (frame, row, column), rate in item:
            if rule in TIMED:
                frame = frame * rate if rule == "seconds" else int(frame * rate)
            if rule == "qwen3_vl":
                frame = 0
            if modality == AUDIO and rule in ("qwen2_5_omni", "seconds"):
                local.append((frame, frame, frame))
            elif modality == TEXT or modality == AUDIO:
                local.append((0, 0, 0))
            else:
                local.append((frame, row, column))
        if rule == "sequence":
            positions += [begin + i for i in range(len(item))]
            begin += len(item)
        elif rule == "hunyuan_vl":
            for place, (_, row, column) in enumerate(local):
                at = begin + place
                inside = (at, column, row, images)
                positions.append(inside if is_grid else (at,) * 4)
            begin, images = begin + len(item), images + is_grid
        else:
            positions += [tuple(begin + part for part in one) for one in local]
            sides = [one[1:] if rule == "qwen3_vl" else one for one in local]
            begin += max(max(one) for one in sides) + 1
    return positions, begin


def arguments(rule, rates):
    if rule == "sequence":
        return {}
    timed = {"rate": rates} if rule in TIMED else {}
    audio = {"audio": ["audio"]} if rule in ("qwen2_5_omni", "seconds") else {}
    return {**MODALITIES, **timed, **audio}
