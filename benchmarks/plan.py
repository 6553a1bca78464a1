"""What is measured at which size, within a bound on the time."""

from benchmarks.sizes import SIZES

# a step is measured without dropout too, whose random numbers cost more than the rest
DROPOUT = {"forward": 0.0, "step": 0.0, "step with dropout": 0.1}
COMPILED = ("jit", "graph", "xla", "compile")
MODES = ("eager", "fixed", *COMPILED)
# by size and kind; XLA on a CPU takes seconds for the random numbers of one step
PLAN = {
    ("nearly empty", "forward"): MODES,
    ("one sample", "forward"): MODES,
    ("one sample", "step"): MODES,
    ("reference", "forward"): MODES,
    ("reference", "step"): MODES,
    ("reference", "step with dropout"): ("jit", "graph", "compile"),
    ("large", "forward"): ("eager", *COMPILED),
    ("large", "step"): COMPILED,
}


def chosen(options):
    """Return what to time on the running backend as `(size, kind, mode)`."""
    from benchmarks.programs import modes

    return [
        (SIZES[size], kind, mode)
        for (size, kind), planned in PLAN.items()
        if size in options.sizes and kind in options.kinds
        for mode in modes()
        if mode in planned and mode in options.modes
    ]


def add_arguments(parser):
    """Add what chooses a part of the plan, for the command and its processes."""
    parser.add_argument("--sizes", nargs="+", default=[*SIZES], choices=SIZES)
    parser.add_argument("--kinds", nargs="+", default=[*DROPOUT], choices=DROPOUT)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--models", nargs="*", default=[], help="all by default")
    parser.add_argument(
        "--rounds", type=int, default=30, help="how often each program is timed"
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="after which a row has no new round"
    )


def arguments(options, **changes):
    """Return the command line that gives a process the same, but for changes."""
    values = {**vars(options), **changes}
    line = []
    for name in ("sizes", "kinds", "modes", "models"):
        line += [f"--{name}", *values[name]]
    numbers = ("rounds", "seconds", "until")
    return line + [f"--{name}={values[name]}" for name in numbers if name in values]
