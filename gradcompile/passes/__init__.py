"""Passes over the graph, in the order in which they run."""
