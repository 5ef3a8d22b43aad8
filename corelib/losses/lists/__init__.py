"""Losses of the ranks in lists of scores."""
