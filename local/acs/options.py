"""What can be set on the emulator when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from local.acs.forms import AnnouncementForm
from local.acs.media_types import FormatType

#: The key of the emulated resource when none is given. It opens nothing but this emulator.
DEFAULT_ACCESS_KEY = "YWNzLWVtdWxhdG9yLWFjY2Vzcy1rZXktbm90LWEtc2VjcmV0LTAwMDE="


class CallbackOrder(StrEnum):
    """In which order and how often the state callbacks of a recording are posted."""

    NORMAL = "normal"
    REVERSED = "reversed"
    DOUBLED = "doubled"
    LOST = "lost"


@dataclass(slots=True)
class AcsOptions:
    """Options of the emulator; times are emulated seconds unless they say otherwise.

    Parameters
    ----------
    host, port, second_port
        Where to listen; port 0 takes any free one. The second port is the media origin that redirects lead to.
    access_key
        Base64 key of the emulated resource.
    resource_name
        Name of the emulated resource in the events' topic.
    resource_hosts
        Host names besides the own address under which a client may know the resource (a container's name, say).
    certificate, certificate_key
        Files in PEM form; with a certificate both ports speak TLS. The key may stand in the certificate's file.
    media_host, second_media_host
        Host names of the two media origins in addresses, in place of `host`; clients must be led to it.
    accept_any_token
        Accept any bearer token in place of an HMAC signature.
    topic, topic_key
        URL that events are posted to, and the value of the `aeg-sas-key` header.
    chunk_duration
        Recorded seconds after which a new chunk begins. The service takes four hours.
    activation_delay
        Seconds between the start of a recording and its state `active`; 0.067 to 0.14 are recorded.
    start_without_types
        Format of a recording that was started without types: mp3 as recorded in 2025, or mp4 as documented.
    finalize_delay
        Seconds between the end of a recording and the event about its files.
    retention
        Seconds for which the files can be fetched after they became available. The service keeps them for 24 hours.
    frame_rate
        Pictures a second in mp4: 16, or 8 as in 2021.
    one_recording_per_call
        Refuse a second recording in a call that is being recorded.
    second_start_status
        Status of that refusal: 400 as recorded in 2021, or 409.
    closing_callback
        Call back `inactive` after a stop or the call's end; the service is not known to.
    stop_reason
        `sessionEndReason` of the event after a stop through the API; what the service says there is not known.
    redirect_content
        Answer GET of content and metadata with a redirect to the second origin.
    ignore_range
        Answer ranged GETs with 200 and the whole body.
    rate
        Bytes a real second for each media response; None for as fast as the machine can.
    latency
        Real seconds before each media response begins.
    callback_order
        Order of the state callbacks.
    announcement
        Form of the events about files.
    publish_patience
        Real seconds for which the delivery of an event is tried again while the topic is away.
    media_dir
        Folder that generated media is kept in.
    """

    host: str = "127.0.0.1"
    port: int = 7080
    second_port: int = 7081
    access_key: str = DEFAULT_ACCESS_KEY
    resource_name: str = "acs-emulator"
    resource_hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    certificate_key: Path | None = None
    media_host: str | None = None
    second_media_host: str | None = None
    accept_any_token: bool = False
    topic: str | None = None
    topic_key: str | None = None
    chunk_duration: float = 4 * 3600.0
    activation_delay: float = 0.1
    start_without_types: FormatType = FormatType.MP3
    finalize_delay: float = 2.0
    retention: float = 24 * 3600.0
    frame_rate: int = 16
    one_recording_per_call: bool = True
    second_start_status: int = 400
    closing_callback: bool = False
    stop_reason: str = "InitiatorLeft"
    redirect_content: bool = False
    ignore_range: bool = False
    rate: float | None = None
    latency: float = 0.0
    callback_order: CallbackOrder = CallbackOrder.NORMAL
    announcement: AnnouncementForm = field(default_factory=AnnouncementForm)
    publish_patience: float = 60.0
    media_dir: Path = Path(".local/media")

    def __post_init__(self) -> None:
        if self.certificate_key is not None and self.certificate is None:
            raise ValueError("certificate_key needs the certificate that it belongs to: give certificate too")
        for name in ("chunk_duration", "retention"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above zero, not {getattr(self, name)}")
        if self.chunk_duration < 1:
            raise ValueError(f"chunk_duration must be at least one second, not {self.chunk_duration}")
        if self.frame_rate not in (8, 16):
            raise ValueError(f"frame_rate must be 8 or 16, not {self.frame_rate}")
        if self.start_without_types not in (FormatType.MP3, FormatType.MP4):
            raise ValueError(f"start_without_types must be mp3 or mp4, not {self.start_without_types}")
        if self.second_start_status not in (400, 409):
            raise ValueError(f"second_start_status must be 400 or 409, not {self.second_start_status}")

    @property
    def azure_id(self) -> str:
        """The resource's id in Azure Resource Manager, which is the topic of its events."""
        return (
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/local"
            f"/providers/microsoft.communication/communicationservices/{self.resource_name}"
        )
