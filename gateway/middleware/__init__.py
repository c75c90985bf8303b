"""What surrounds every route: who may call it, how often, with which parameters, and what happens when they repeat it.

Each guard is an `Around`: it takes a route and its view, and returns the view to call in its place.
"""
