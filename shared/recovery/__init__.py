"""The sweep and the operator's tools: what failed or was lost is found and tried again."""
