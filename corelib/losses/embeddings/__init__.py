"""Losses of labelled batches of embeddings."""
