"""The protocol of docs/architecture.md ("The protocol is checked") as a model, explored in every interleaving.

`python -m tests.model` explores all scenarios. `explorer` knows storage, queues, crashes and the search; `state` what
is stored; `intake`, `chunks`, `starts` and `recovery` are the protocol, a generator a process; `scenarios` says what
happens in the world, and `expectations` what must hold. Plain Python: the model shares no code with the app.
"""
