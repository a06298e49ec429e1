"""Reading a recording's files from the service: signed requests, ranges, and checks of every response."""
