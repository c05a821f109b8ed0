"""How fast fastinit is, measured on your machine: ``python -m fastinit bench``.

Suites, each leaving a table, a JSON file and a picture:

* ``floors``: the promises the project makes, each as a figure beside its bound;
* ``sweep``: every initializer over sizes, dtypes, layouts and thread counts;
* ``isa``: the same kernels forced through each instruction set this machine has;
* ``orthogonal``: orthogonal matrices by size and shape, with their error beside their time.
* ``audit``: the audit of a whole model beside what reading its parameters takes.
* ``gpu``: the CUDA backend on the current card, its floors, sweep, calls, models and compiled kernels.

Every fill is timed beside its rivals in the same run, in turn, so that whatever else the machine is doing
falls on all of them alike.  ``benchmarks/README.md`` in the repository says how to read the figures.
"""

from .cli import main

__all__ = ["main"]
