"""The library beside its peers: ``python -m benchmarks`` (or ``make bench``) measures, writes the table and the plot."""
