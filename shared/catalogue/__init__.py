"""Finding recordings in the archive."""
