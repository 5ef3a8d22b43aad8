"""The algorithms behind losses and scores (private): one file per engine, with its operator, its backward pass and the
choice of an implementation; ``*_torch.py`` is the same in plain torch, for any device. Engines know nothing of papers.
"""
