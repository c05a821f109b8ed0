"""Golden values of the stream, and the independent program that made them: ``python -m golden``, run in tests/."""
