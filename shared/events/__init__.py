"""What the service reports: events about recordings and calls, and the metadata file of a chunk."""
