"""The service's api-versions, and what differs between them.

Source: the `api-supported-versions` header of recorded answers, 2021 to 2026.
"""

from __future__ import annotations

#: What the service lists in `api-supported-versions`.
SUPPORTED = (
    "2023-03-06",
    "2023-10-15",
    "2024-04-15",
    "2024-06-15-preview",
    "2024-09-01-preview",
    "2024-09-15",
    "2024-11-15-preview",
    "2025-03-30-preview",
    "2025-05-15",
    "2025-06-15",
    "2025-08-15-preview",
    "2026-03-12",
)
LATEST = SUPPORTED[-1]
#: Versions that have `GET /calling/recordings/{id}/result`.
WITH_RESULT = ("2024-09-01-preview", "2025-08-15-preview")
#: Previews of 2021 whose routes name the call in the path.
BY_SERVER_CALL = ("2021-06-15-preview", "2021-08-30-preview", "2021-09-15-preview")
#: The preview whose actions have a slash before the colon.
WITH_SLASH = ("2021-11-15-preview",)
#: Today's routes.
CURRENT = ("2022-04-07-preview", "2023-01-15-preview", "2023-06-15-preview", "2024-01-22-preview", *SUPPORTED)


def is_of_2021(version: str) -> bool:
    """Whether answers hold only the id or the state, and every success is 200."""
    return version < "2022"


def has_storage(version: str) -> bool:
    """Whether pauseOnStart, externalStorage, recordingKind and Repeatability-Result exist."""
    return version >= "2024"


def has_target(version: str) -> bool:
    """Whether an error names its target."""
    return version >= "2025-08-15"
