"""An emulator of Azure Communication Services call recording, usable on its own.

`AcsEmulator` (in `local.acs.server`) is the whole of it; `python -m local acs` runs it from a shell.
"""
