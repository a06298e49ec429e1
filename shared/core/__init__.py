"""What every other package may use: errors, times, names, limits, logging and telemetry."""
