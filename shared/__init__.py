"""The domain: recordings, their files, and the archive. Knows nothing of Azure Functions."""
