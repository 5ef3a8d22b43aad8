"""InfoNCE: queries among keys, plain, weighted, on prefixes, and over processes."""
