"""Type checkers on the package and on users' scripts.

    python tests/types/check_types.py

prints how complete the types of the package are, and fails if they are less than 99 %,
if a checker finds anything in a correct script, or too few of the planted mistakes.
"""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
LEAST_COMPLETE = 0.99
LEAST_FOUND = 15
# Keras has no types, and its classes are the bases of ours
OF_KERAS = {"Type of metaclass unknown", "Type of base class unknown"}


def run(*command):
    """Return the output of a module of Python."""
    command = [sys.executable, "-m", *map(str, command)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=FOLDER.parents[1]
    )
    return done.stdout or done.stderr


def incomplete():
    """Return the symbols that lack a type of ours, and the share of the others."""
    options = ("--ignoreexternal", "--outputjson")
    out = run("pyright", "--verifytypes", "keras_mmembed", *options)
    found = json.loads(out)["typeCompleteness"]
    print("verifytypes, with the bases of Keras:", found["completenessScore"])
    symbols = [one for one in found["symbols"] if one["isExported"]]
    lacking = {
        one["name"]: sorted(says)
        for one in symbols
        if not one["isTypeKnown"] or one["isTypeAmbiguous"]
        if (says := {note["message"] for note in one["diagnostics"]} - OF_KERAS)
    }
    return lacking, 1 - len(lacking) / len(symbols)


def errors_of_mypy(script):
    """Return the lines of a script in which mypy finds an error."""
    options = ("--strict", "--ignore-missing-imports", "--no-error-summary")
    out = run("mypy", *options, script)
    lines = [line for line in out.splitlines() if ": error: " in line]
    return {int(line.split(":")[1]): line for line in lines}


def main():
    """Run all checks."""
    lacking, share = incomplete()
    print(f"of what is ours: {share:.1%}")
    for name, says in lacking.items():
        print(f"  {name}: {' '.join(says)}")
    assert share >= LEAST_COMPLETE
    wrong = errors_of_mypy(FOLDER / "correct_script.py")
    assert not wrong, "\n".join(wrong.values())
    script = FOLDER / "mistakes_script.py"
    lines = enumerate(script.read_text().splitlines(), start=1)
    planted = {number for number, line in lines if "# mistake" in line}
    found = errors_of_mypy(script)
    print(f"mistakes that mypy finds: {len(planted & set(found))} of {len(planted)}")
    assert set(found) <= planted, "\n".join(found.values())
    assert len(planted & set(found)) >= LEAST_FOUND


if __name__ == "__main__":
    main()
