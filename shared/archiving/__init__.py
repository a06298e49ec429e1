"""From an event to an archived, verified recording."""
