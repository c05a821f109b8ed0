"""The audit of a model's parameters.

From the bottom up: `statistics` reads a tensor once, `declared` knows what should have been read, `flags`, `dead`,
`twins` and `exact` find what is wrong, `report` holds it, and `audit` goes over a model.
"""
