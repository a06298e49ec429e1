"""The rules of the protocol, each a switch: `Explorer(scenario, without)` runs a scenario without some of them."""

from __future__ import annotations

NEEDED = {
    "by-call-with-its-id": ("two recordings of one call", "a by-call place with another id is not taken"),
    "by-id-wins": ("events of one recording", "the place by id, where the first writer wins, decides"),
    "follower-writes-by-id": (
        "events of one recording",
        "an event without an id that follows one writes its by-id place",
    ),
    "id-claims-by-call": (
        "two recordings of one call",
        "a by-call place without an id is taken by writing the id into it",
    ),
    "manifest-under-etag": ("two events of a recording", "the manifest is only written under its ETag"),
    "manifest-before-row": ("two events of a recording", "the intake writes the manifest before the row"),
    "messages-before-row": ("the table is away", "the intake sends the chunk messages before it writes the row"),
    "event-removes-closed": ("a document is named again", "an event that leaves something to copy removes `closed`"),
    "waits-for-every-document": ("two documents of one index", "a recording is closed when no document of it waits"),
    "latest-event-counts": ("two documents of one index", "the latest event's document counts for its index"),
    "named-again-waits": (
        "a document is named again",
        "a document that a new event names waits until the source was asked",
    ),
    "seen-before-asking": (
        "a document is named again",
        "a worker answers only the events it saw before it asked the source",
    ),
    "ask-the-size": (
        "a document is named again",
        "what is committed and not in the manifest is compared with the source",
    ),
    "compare-digests": ("the table is away", "bytes that are committed already are not committed again"),
    "commit-if-none-match": ("a document is named again", "a blob is committed under If-None-Match"),
    "incident-first": ("the source no longer has", "an incident is written before what makes the work look done"),
    "row-before-manifest": ("two events of a recording", "who closes has read the row before the manifest"),
    "row-under-etag": ("two events of a recording", "a row is deleted as it was read"),
    "unreadable-row-goes-on": ("the table is away", "a worker that cannot read the row goes on"),
    "equal-generation-of-another-id": (
        "a document is named again",
        "an equal counter ends only a message of another id",
    ),
    "sweep-drives": ("two events of a recording", "the sweep sends messages for what waits"),
    "poison-is-returned": ("an event becomes poison", "the sweep returns poison messages"),
    "poison-sent-before-deleted": ("an event becomes poison", "a poison message is sent before it is deleted"),
    "reconcile-restores": ("reconcile restores", "reconcile restores a recording that waits and has no row"),
    "written-before-asked": ("a start that is joined", "a start is written before the service is asked"),
    "joined-by-call": ("a start that is joined", "an event joins the one start of its call whose outcome is unknown"),
    "looked-again": ("an event joins by call", "an intake that could not ask for starts is sent again"),
    "sent-leaves-out-messages-only": (
        "an event joins by call",
        "a message that is sent again looks for the start again",
    ),
    "exactly-one": ("two starts of one call", "only where it is exactly one"),
    "no-start-twice": (
        "a late event of a recording",
        "an event of a recording whose manifest has a start joins no other",
    ),
    "by-recording-first-wins": ("two starts of one call", "a recording is joined once, under If-None-Match"),
    "outcome-after-by-recording": (
        "two starts of one call",
        "a start's outcome is known after its recording is joined",
    ),
    "row-names-recording": ("two starts of one call", "the row of a joined start names the recording"),
    "start-row-waits": ("a start that is joined", "the row of a start stays until the manifest has it"),
    "sweep-joins": ("a start that is joined", "the sweep writes a joined start into the manifest"),
    "reconcile-reads-starts": ("a start while the table", "reconcile reads the joined starts too"),
    "start-kept-until-in-manifest": ("the blobs of a joined start", "a start's blobs go once the manifest has it"),
}
"""Each rule: the scenario that breaks without it, and the rule in plain words."""

COSTS_ONLY_TIME = {
    "intake-sends-itself-again": (
        "an event becomes poison",
        "after a failure of storage the intake sends its message again; else the host makes it poison within minutes, "
        "and the sweep returns it",
    ),
    "sent-is-kept": (
        "a request fails",
        "an intake that only lacks the row sends no chunk messages again; else they do work that is done",
    ),
    "message-before-generation": (
        "two events of a recording",
        "a generation is written after its message is sent; else a crash between the two leaves the document without a "
        "message until the next sweep, and for as long as the table is away",
    ),
    "generation-under-etag": (
        "sweeps that overlap",
        "a generation is written under the row's ETag; else two chains of messages can go on for one document",
    ),
    "no-row-goes-on": (
        "two events of a recording",
        "a message that finds no row goes on; else one that overtakes the intake waits for the sweep",
    ),
    "name-a-document": (
        "two documents of one index",
        "each document has a name of its own; else the second is filed as another copy of the first, `~2`",
    ),
}
"""Rules that lose nothing when they are taken away: a scenario that shows it, and what they are for."""
