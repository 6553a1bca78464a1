"""Programs timed in turns, and what is made of the times."""

import gc
import math
import statistics
import time

# the names of the models that the others are compared with
OURS = "keras_mmembed"
FLOOR = "floor"
WITHOUT = "without"
# the name of a group
ROTARY = "rotary embedding in a block"
SHORTEST_SAMPLE = 1e-3
FEWEST_ROUNDS = 5


def first_call(program):
    """Return the seconds of the first call, which compiles."""
    start = time.perf_counter()
    program()
    return time.perf_counter() - start


def alternate(programs, rounds, warm_up=3, limit=math.inf):
    """Time programs in turns, so that what disturbs one round disturbs all.

    Every round starts with another program, because each finds the caches as the one
    before it left them. A program that is too short for the clock runs several times.

    Args:
        programs: Functions by name.
        rounds: How often each of them is timed.
        warm_up: How often each of them runs before that.
        limit: Seconds after which no other round starts, once there are a few.

    Returns:
        By name, the seconds of one call in each round.
    """
    names = list(programs)
    repeats = {}
    for name in names:
        seconds = min(first_call(programs[name]) for _ in range(warm_up))
        repeats[name] = max(1, round(SHORTEST_SAMPLE / max(seconds, 1e-7)))
    times = {name: [] for name in names}
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    end = time.perf_counter() + limit
    try:
        for turn in range(rounds):
            if turn >= FEWEST_ROUNDS and time.perf_counter() > end:
                break
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                program, count = programs[name], repeats[name]
                start = time.perf_counter()
                for _ in range(count):
                    program()
                times[name].append((time.perf_counter() - start) / count)
    finally:
        if was_enabled:
            gc.enable()
    return times


def summarize(times, base):
    """Return medians and quartiles of times, and of their ratios to `base`.

    A ratio is taken within each round, and then the median of those.
    """
    summary = {}
    for name, seconds in times.items():
        row = {"seconds": quartiles(seconds), "least": min(seconds)}
        row["ratio"] = quartiles(ratios(seconds, times[base]))
        row["ratio_of_least"] = min(seconds) / min(times[base])
        summary[name] = row
    return summary


def ratios(seconds, base):
    """Return the ratio of two programs in each round."""
    return [a / b for a, b in zip(seconds, base, strict=True)]


def quartiles(values):
    """Return the first quartile, the median and the third quartile."""
    if len(values) < 2:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")
