"""What is kept in the archive's storage account: manifests, blobs, tables and queues."""
