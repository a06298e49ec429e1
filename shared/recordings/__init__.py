"""Control of recordings, and the state they are in."""
