"""What the speed should be, and whether it was."""

from dataclasses import dataclass

from benchmarks.measure import FLOOR, OURS, ROTARY, WITHOUT, quartiles, ratios

DOCUMENT = "module of the document"
HUB = "KerasHub layers"


@dataclass(frozen=True)
class Goal:
    """A number that should not exceed a limit.

    Attributes:
        text: What the number is.
        value: The median ratio.
        limit: The most that it should be.
    """

    text: str
    value: float
    limit: float

    @property
    def is_met(self):
        return self.value <= self.limit


def goals(results):
    """Return a goal for every row that was measured."""
    made = []
    for backend in results["backends"]:
        for row in backend.get("times", []):
            if row["group"] == "fusion" and row["size"] != "nearly empty":
                made += _goals_of_row(row, _limits(row))
            if row["group"] == ROTARY and row["mode"] not in ("eager", "fixed"):
                made += _goals_of_row(row, {WITHOUT: 1.1})
        for row in backend.get("scaling", []):
            if row["name"] == OURS:
                text = f"{backend['backend']}, {row['kind']}: exponent of the tokens"
                made.append(Goal(text, row["exponent"], 1.05))
        for row in backend.get("memory", []):
            if row["name"] == OURS and row["mode"] != "eager":
                kind = f"{backend['backend']}, {row['kind']}, {row['mode']}"
                made.append(Goal(f"{kind}: peak memory", row["ratio"], 1.5))
    for backend in results["hub"]:
        for row in backend["times"]:
            made += _goals_of_row(row, {HUB: 1.0})
    return made


def _limits(row):
    """Return by competitor the most that our time may be over its time."""
    limits = {"Keras layers": 1.0, HUB: 1.0}
    if row["backend"] == "torch":
        limits[DOCUMENT] = 0.5 if row["mode"] == "eager" else 1.0
    elif row["mode"] != "eager":
        limits[FLOOR] = 1.25
    return limits


def _goals_of_row(row, limits):
    where = ", ".join(row[key] for key in ("backend", "size", "kind", "mode"))
    made = []
    for other, limit in limits.items():
        if other in row["times"]:
            all_rounds = ratios(row["times"][OURS], row["times"][other])
            text = f"{where}: over {other}"
            made.append(Goal(text, quartiles(all_rounds)[1], limit))
    return made
