"""Shows an archive to a person."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.progress import Progress
    from local.verification import Verification


def tree(blobs: Mapping[str, int], title: str) -> Tree:
    """Return blobs, by name with their sizes in bytes, as a tree."""
    root = Tree(escape(title))
    folders: dict[PurePosixPath, Tree] = {PurePosixPath("."): root}

    def folder(path: PurePosixPath) -> Tree:
        if path not in folders:
            folders[path] = folder(path.parent).add(f"{escape(path.name)}/")
        return folders[path]

    for name, size in blobs.items():
        path = PurePosixPath(name)
        folder(path.parent).add(f"{escape(path.name)}  [dim]{size:,} bytes[/dim]")
    return root


def show_tree(progress: Progress, blobs: Mapping[str, int], title: str) -> None:
    """Show blobs, by name with their sizes in bytes, as a tree."""
    progress.console.print(tree(blobs, title), soft_wrap=True)


def show_manifest(progress: Progress, manifest: Mapping[str, Any]) -> None:
    """Show the essentials of a manifest, a line each, so that ids can be copied."""

    def row(name: str, value: object) -> None:
        progress.line(f"  {name:<17} {escape(str(value))}")

    for name in ("recordingId", "callId", "serverCallId", "status", "startTime", "durationMs", "sessionEndReason"):
        row(name, manifest.get(name))
    row("recorded as", " ".join(str(manifest.get(name)) for name in ("contentType", "channelType", "format")))
    for person in manifest.get("participants", []):
        channel = "" if person.get("channel") is None else f", channel {person['channel']}"
        row("participant", f"{person['participantId']}{channel}")
    for chunk in manifest.get("chunks", []):
        row(f"chunk {chunk['index']}", f"{chunk.get('durationMs')} ms, {chunk.get('endReason')}, {chunk['documentId']}")


def show_verification(progress: Progress, verification: Verification) -> None:
    """Show the archived tree, the manifest's essentials, and the recomputed digests."""
    progress.line("")
    show_tree(progress, verification.blobs, "recordings")
    progress.line(f"\n[bold]{escape(verification.folder)}manifest.json[/bold]")
    show_manifest(progress, verification.manifest)
    progress.line("\n[bold]Digests recomputed from the downloaded blobs[/bold]")
    wrong = "\n".join(verification.differences)
    for chunk in verification.chunks:
        for blob in (chunk.content, chunk.metadata):
            verdict = "[red]differs[/red]" if blob.name in wrong else "[green]= manifest = source[/green]"
            name = blob.name.removeprefix(verification.folder)
            progress.line(f"  {escape(name):<20} sha256 {blob.sha256} {verdict}")
            if blob is chunk.content:
                progress.line(f"  {'':<20} md5    {blob.md5}")
                progress.line(f"  {'':<20} {'does not open' if chunk.media is None else f'opens: {chunk.media}'}")
    progress.line("")
