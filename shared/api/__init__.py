"""The HTTP API: its routes, its errors and its OpenAPI document."""
