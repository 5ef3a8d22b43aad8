"""Losses over pairs of a positive and a negative score."""
