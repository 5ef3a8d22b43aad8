"""Losses of preferences and opinions."""
