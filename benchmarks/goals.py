"""What the speed should be, and whether it was."""

from dataclasses import dataclass

from benchmarks.measure import FLOOR, OURS, quartiles, ratios

DOCUMENT = "module of the document"
COMPOSITIONS = ("Keras layers", "KerasHub layers")


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
                made += _goals_of_row(row)
        for row in backend.get("scaling", []):
            if row["name"] == OURS:
                text = f"{backend['backend']}, {row['kind']}: exponent of the tokens"
                made.append(Goal(text, row["exponent"], 1.05))
        for row in backend.get("memory", []):
            if row["name"] == OURS and row["mode"] != "eager":
                kind = f"{backend['backend']}, {row['kind']}, {row['mode']}"
                made.append(Goal(f"{kind}: peak memory", row["ratio"], 1.5))
    return made


def _goals_of_row(row):
    where = ", ".join(row[key] for key in ("backend", "size", "kind", "mode"))
    made = []

    def add(other, limit):
        if other in row["times"]:
            all_rounds = ratios(row["times"][OURS], row["times"][other])
            text = f"{where}: over {other}"
            made.append(Goal(text, quartiles(all_rounds)[1], limit))

    if row["backend"] in ("jax", "tensorflow") and row["mode"] != "eager":
        add(FLOOR, 1.25)
    if row["backend"] == "torch":
        add(DOCUMENT, 0.5 if row["mode"] == "eager" else 1.0)
    for other in COMPOSITIONS:
        add(other, 1.0)
    return made
