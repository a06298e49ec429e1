"""Event Grid on one machine: topics, subscriptions with their handshakes, retries on emulated time, dead letters.

`EventGridEmulator` (in `local.eventgrid.emulator`) is the whole of it; `python -m local eventgrid` runs it by itself.
"""
