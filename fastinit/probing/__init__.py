"""The probe of a model: one pass forward and back, with a look at every activation and gradient on the way.

From the bottom up: `state` leaves the model as it was, `record` hooks its modules, `losses` makes a number of an
output, `trend` judges a scale by depth, `report` and `plot` show what was found, and `probe` runs the pass.
"""
