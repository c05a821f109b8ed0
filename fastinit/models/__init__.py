"""Whole models: recipes of rules, a plan for every parameter, and the one call that carries it out.

From the bottom up: `expressions` and `layouts` know numbers and axes, `sites` a parameter's place in its model,
`initializer`, `elementary` and `initializers` what can be written there, `rules` which of it goes where, `plan` matches
the two, and `initialize` allocates (`materialise`, `buffers`) and fills.
"""
