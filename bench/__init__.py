"""What the copy engine is measured against, and the last results. `python -m bench --help`."""
