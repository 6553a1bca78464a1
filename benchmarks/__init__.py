"""How fast the fusion is: `python -m benchmarks`; see docs/performance.md."""
