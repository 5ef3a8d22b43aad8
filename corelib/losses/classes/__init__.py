"""Losses of class scores, and scores of how hard an example is."""
