"""How fast the fusion is: `python -m benchmarks`; see README.md."""
