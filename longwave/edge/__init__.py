"""`longwave edge`: stands beside an edge, counts who listens there, and tells origins.

The edge says of each playlist what it was asked for (`lines`). That is gathered (`gathering`) from where it
comes (`sources`); how many ask so is estimated (`crowd`, pure) and told (`telling`).
"""
