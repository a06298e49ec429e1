"""Writing a file to Blob Storage in blocks, with digests, bounded memory and adaptive concurrency."""
