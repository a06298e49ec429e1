"""Stands in for Azure on one machine: Functions host, ACS emulator, Event Grid emulator, Azurite. Never deployed."""
