"""Tables and a picture of what was measured."""

from benchmarks.goals import goals
from benchmarks.measure import FLOOR, OURS, PEER
from benchmarks.sizes import SIZES

COLORS = {OURS: "#0072b2", FLOOR: "#999999", "copy": "#cccccc"}
OTHER_COLORS = ("#e69f00", "#009e73", "#d55e00", "#cc79a7")


def markdown(results):
    """Return all tables."""
    parts = [_conditions(results), "### Goals", _goals(results)]
    for backend in results["backends"]:
        for size in dict.fromkeys(row["size"] for row in backend.get("times", [])):
            rows = [row for row in backend["times"] if row["size"] == size]
            parts += _times(backend["backend"], size, rows)
    for backend in results["hub"]:
        name = f"{backend['backend']} beside KerasHub"
        parts += _times(name, backend["times"][0]["size"], backend["times"])
    for title, make in (
        ("Peak memory over inputs and outputs", _memory),
        ("Time against tokens", _scaling),
        ("Exports for a server", _serving),
        ("Greedy decoding", _generation),
    ):
        table = [line for b in results["backends"] for line in make(b)]
        if table:
            parts += [f"### {title}", "\n".join([*_HEADS[make], *table])]
    if results["imports"]:
        parts += ["### Import", _imports(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def plot(results, path):
    """Draw the ratios to the floor at the reference size."""
    import matplotlib.pyplot as plt

    backends = [b for b in results["backends"] if b.get("times")]
    figure, grid = plt.subplots(
        len(backends), 1, squeeze=False, figsize=(10, 2.6 * len(backends))
    )
    for axes, backend in zip(grid[:, 0], backends, strict=True):
        rows = [
            row
            for row in backend["times"]
            if row["size"] == "reference" and row["group"] == "fusion"
        ]
        names = list(dict.fromkeys(name for row in rows for name in row["times"]))
        spare = iter(OTHER_COLORS)
        for index, name in enumerate(names):
            color = COLORS.get(name) or next(spare)
            places, middles, spreads = [], [], []
            for place, row in enumerate(rows):
                low, middle, high = row["summary"][name]["ratio"]
                places.append(place + (index - len(names) / 2) * 0.8 / len(names))
                middles.append(middle)
                spreads.append((middle - low, high - middle))
            axes.bar(
                places,
                middles,
                width=0.8 / len(names),
                yerr=list(zip(*spreads, strict=True)),
                color=color,
                label=name,
            )
        axes.axhline(1.0, color="gray", linewidth=0.8)
        axes.set_ylabel("time / floor")
        labels = [f"{row['kind']}\n{row['mode']}" for row in rows]
        axes.set_xticks(range(len(rows)), labels, fontsize=7)
        axes.set_title(f"{backend['backend']}, {SIZES['reference'].description}")
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def write_between_marks(path, name, text):
    """Put text in the place of a page that is marked with a name."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    page = path.read_text()
    if begin not in page or end not in page:
        raise ValueError(f"{path} has no place between {begin} and {end}")
    before, rest = page.split(begin)
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.split(end)[1]}")


def table(heads, rows):
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _conditions(results):
    lines = []
    for backend in results["backends"] + results["hub"]:
        machine = dict(backend["machine"])
        cpu, cores = machine.pop("cpu"), machine.pop("cores")
        load = machine.pop("load")
        versions = ", ".join(f"{name} {value}" for name, value in machine.items())
        lines.append(
            f"- {backend['backend']}: {cores} cores of {cpu}; {versions}; "
            f"load {load:.1f} when it started"
        )
    text = (
        f"Written by `{results['command']}`. Medians of at most {results['rounds']} "
        "rounds, with quartiles in brackets. All numbers but times are ratios within "
        "one round."
    )
    return "\n".join([text, "", *lines])


def _times(backend, size, rows):
    parts = [f"### {backend}, {size} ({SIZES[size].description})"]
    for group in dict.fromkeys(row["group"] for row in rows):
        chosen = [row for row in rows if row["group"] == group]
        heads = [f"{group}: time over {chosen[0]['base']}"]
        heads += [f"{row['kind']}, {row['mode']}" for row in chosen]
        names = dict.fromkeys(name for row in chosen for name in row["summary"])
        body = [
            [name, *(spread(row["summary"][name]["ratio"]) for row in chosen)]
            for name in names
        ]
        base = [row["summary"][row["base"]]["seconds"][1] for row in chosen]
        body.append([f"{chosen[0]['base']}, time", *map(time, base)])
        first = [row["first_calls"][OURS] for row in chosen]
        body.append([f"{OURS}, first call", *map(time, first)])
        parts.append(table(heads, body))
    return parts


def _memory(backend):
    for row in backend.get("memory", []):
        yield _line(
            backend["backend"],
            f"{row['kind']}, {row['mode']}",
            row["name"],
            f"{row['ratio']:.2f}",
        )


def _scaling(backend):
    for row in backend.get("scaling", []):
        first = row["seconds"][0] / row["tokens"][0]
        per_token = [
            f"{seconds / tokens / first:.2f}"
            for seconds, tokens in zip(row["seconds"], row["tokens"], strict=True)
        ]
        yield _line(
            backend["backend"],
            f"{row['kind']}, {row['mode']}",
            row["name"],
            f"{row['exponent']:.2f}",
            ", ".join(per_token),
        )


def _serving(backend):
    for row in backend.get("serving", []):
        latency = row.get("latency", {}).get("request", {}).get("seconds")
        yield _line(
            backend["backend"],
            row["size"],
            f"{row['bytes'] / 2**20:.1f} MiB",
            time(latency[1]) if latency else "not measured",
        )


def _generation(backend):
    for row in backend.get("generation", []):
        for name, found in row["summary"].items():
            per_token = found["seconds"][1] / row["tokens"]
            cells = (f"{1 / per_token:.1f}", spread(found["ratio"]))
            yield _line(backend["backend"], name, *cells)


_HEADS = {
    _generation: [
        f"| backend | program | tokens per second | time over {PEER} |",
        "|---|---|---|---|",
    ],
    _memory: ["| backend | program | model | ratio |", "|---|---|---|---|"],
    _scaling: [
        "| backend | program | model | exponent | time per token over the first |",
        "|---|---|---|---|---|",
    ],
    _serving: ["| written on | size | export | request |", "|---|---|---|---|"],
}


def _line(*cells):
    return "| " + " | ".join(cells) + " |"


def _imports(results):
    rows = [
        [row["backend"], time(row["keras"]["seconds"][1]), spread(row[OURS]["ratio"])]
        for row in results.get("imports", [])
    ]
    return table(["backend", "import keras", f"with {OURS}"], rows) if rows else ""


def _goals(results):
    rows = [
        [goal.text, f"{goal.value:.2f}", goal.limit, "yes" if goal.is_met else "no"]
        for goal in goals(results)
    ]
    return table([OURS, "measured", "at most", "met"], rows)


def spread(three):
    """Return quartiles as `median [first, third]`."""
    low, middle, high = three
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def time(seconds):
    """Return seconds with a unit."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.1f} s"
