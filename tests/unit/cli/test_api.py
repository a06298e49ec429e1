"""What the app refuses, as a sentence; and which requests are sent again."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.api import Refused, segment, sentence
from cli.deployment import Answer
from cli.main import app
from cli.text import hours, length, one_line
from shared.api.problems import problem
from shared.core import errors


def refusal(error: errors.ArchiverError) -> Answer:
    """The answer that the app gives."""
    found = problem(error)
    later = found.headers.get("Retry-After")
    return Answer(found.status, found.body, float(later) if later else None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            errors.InvalidRequest(
                "roomId: one (and 1 more, see errors)",
                field="roomId",
                faults=(errors.Fault("roomId", "one"), errors.Fault("channelAffinity/0", "two")),
            ),
            "roomId: one; channelAffinity/0: two",
        ),
        (errors.InvalidRequest("the body: no JSON", faults=(errors.Fault("", "no JSON"),)), "the body: no JSON"),
        (errors.InvalidRequest("takes a day", field="since"), "The request is wrong: since: takes a day"),
        (
            errors.WrongState("pause", "paused"),
            "The recording is in another state: a recording that is paused cannot be asked to pause",
        ),
        (
            errors.ServiceError(404, "8522", "Recording not found."),
            "There is no such recording or call: Recording not found. (the service's code 8522)",
        ),
        (
            errors.ServiceError(429, "TooManyRequests", "Slow down.", retry_after=30),
            "The service throttles requests: Slow down. (the service's code TooManyRequests); try again in 30 s",
        ),
    ],
)
def test_a_problem_is_one_sentence_with_the_field_and_when_to_try_again(error: errors.ArchiverError, said: str) -> None:
    assert sentence(refusal(error)) == said


def test_a_missing_consent_names_its_field() -> None:
    assert "consent" in sentence(refusal(errors.ConsentRequired()))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(401, None), "--key"),
        (Answer(404, None), "--url"),
        (Answer(502, None), "answered 502"),
        (Answer(500, {"type": 1, "errors": "x", "detail": None}), "answered 500"),
    ],
)
def test_an_answer_of_another_program_is_reported_in_a_sentence_too(answer: Answer, said: str) -> None:
    assert said in sentence(answer)


def test_a_wrong_field_ends_as_a_wrong_option_does_and_everything_else_with_1() -> None:
    wrong = errors.InvalidRequest("x", faults=(errors.Fault("roomId", "x"),))
    assert Refused(refusal(wrong)).exit_code == 2
    assert Refused(refusal(errors.NotArchived())).exit_code == 1


def test_text_from_outside_is_one_line_on_the_terminal() -> None:
    hostile = {"type": "x", "title": "t\x1b[2J", "detail": "a\nb\x07", "code": "\r\x9bc"}
    assert sentence(Answer(400, hostile)).isprintable()
    assert one_line("a\x1b[31m\n b\u2028c") == "a[31m b c"


def test_an_id_is_one_part_of_a_path() -> None:
    assert segment("../a/b?c=d==") == "..%2Fa%2Fb%3Fc%3Dd%3D%3D"


def test_hours_are_readable() -> None:
    assert [hours(left) for left in (None, 0, 0.0, 0.5, 1.0, 23.94)] == [
        "unknown",
        "none",
        "none",
        "30 min",
        "1.0 h",
        "23.9 h",
    ]
    assert length(3_725_999) == "1:02:05"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "x"], "--url (or RECORDINGS_URL)"),
        (["show", "x", "--url", "http://example.com"], "use https"),
        (["start", "--url", "https://example.com", "--consent", "{"], "--consent takes a JSON object"),
        (["start", "--url", "https://example.com", "--consent", "[]"], "--consent takes a JSON object"),
        (["start", "--url", "https://example.com", "--consent", "@/nowhere"], "/nowhere cannot be read"),
        (["start", "--url", "https://example.com", "--more", "[]"], "--more takes a JSON object"),
        (["start", "--url", "https://example.com", "--room-id", "r", "--more", '{"roomId": "s"}'], "roomId"),
        (["start", "--url", "https://example.com", "--idempotency-key", "a b"], "--idempotency-key"),
        (["verify", "--url", "https://example.com"], "say what to verify"),
        (["verify", "x", "--all", "--since", "2026-11-22"], "not both"),
        (["verify", "x", "--since", "2026-11-22"], "go with --all"),
        (["verify", "--all"], "--since"),
        (["verify", "--all", "--since", "yesterday"], "such as 2026-11-22"),
        (["attention", "settle", "x"], "--url (or RECORDINGS_URL)"),
        (["attention", "retry", "x"], "--url (or RECORDINGS_URL)"),
        (["attention", "retry", "--url", "https://example.com"], "say what to retry"),
        (["attention", "retry", "x", "--all", "--url", "https://example.com"], "say what to retry"),
        (["reindex"], "--url (or RECORDINGS_URL)"),
    ],
)
def test_wrong_options_are_one_sentence_before_any_request(arguments: list[str], said: str) -> None:
    result = CliRunner(env={"RECORDINGS_URL": None, "RECORDINGS_KEY": None}).invoke(app, arguments)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert said in result.stderr
