"""`python -m cli`, the same as `recordings`."""

from cli.main import app

app(prog_name="recordings")
