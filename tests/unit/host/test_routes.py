"""Route templates: what matches, what is decoded, and which template wins."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host.errors import AppLoadError
from local.host.routes import RouteTable, RouteTemplate, decode_segment

# One path segment's worth of any text. The web server refuses NUL, and dot segments are resolved by clients.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: text not in (".", "..")
)


def as_received(text: str) -> str:
    """What a function gets of a text that a client encoded once: a slash stays encoded."""
    return text.replace("/", "%2F")


@given(texts, texts)
def test_any_id_survives_encoding_and_routing(recording: str, action: str) -> None:
    template = RouteTemplate("api/recordings/{recordingId}/{action}")
    path = f"/api/recordings/{quote(recording, safe='')}/{quote(action, safe='')}"
    assert template.match(path) == {"recordingId": as_received(recording), "action": as_received(action)}


@given(texts.filter(lambda text: "/" not in text))
def test_ids_of_base64_and_punctuation_may_be_sent_unencoded_where_a_path_allows_it(text: str) -> None:
    path = "/api/recordings/" + quote(text, safe="=+@:!$&'()*,;~")
    assert RouteTemplate("api/recordings/{id}").match(path) == {"id": text}


@given(st.lists(texts, min_size=1, max_size=4))
def test_a_catch_all_keeps_every_segment(segments: list[str]) -> None:
    path = "/files/" + "/".join(quote(segment, safe="") for segment in segments)
    assert RouteTemplate("files/{*rest}").match(path) == {"rest": "/".join(as_received(s) for s in segments)}


@given(st.text())
def test_no_path_makes_matching_fail(path: str) -> None:
    RouteTemplate("a-{b}.{c}/{d:int?}/{*rest}").match(path)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("api/health", "/api/health", {}),
        ("api/health", "/API/Health/", {}),
        ("api/health", "/api/health/x", None),
        ("api/health", "/api", None),
        ("{id:int}", "/12", {"id": "12"}),
        ("{id:int}", "/-3", {"id": "-3"}),
        ("{id:int}", "/99999999999", None),
        ("{id:int}", "/1.5", None),
        ("{id:guid}", "/0d3b8f0e-0000-4000-8000-000000000000", {"id": "0d3b8f0e-0000-4000-8000-000000000000"}),
        ("{id:guid}", "/x", None),
        ("{id:alpha:minlength(2)}", "/ab", {"id": "ab"}),
        ("{id:alpha:minlength(2)}", "/a", None),
        ("{id:length(2,3)}", "/abc", {"id": "abc"}),
        ("{id:length(2)}", "/abc", None),
        ("{n:range(1,5)}", "/5", {"n": "5"}),
        ("{n:range(1,5)}", "/6", None),
        (r"{id:regex(^\d{{2}}$)}", "/12", {"id": "12"}),
        (r"{id:regex(^\d{{2}}$)}", "/123", None),
        (r"{id:regex(^\d+$)}", "/12", {"id": "12"}),
        ("a/{id?}", "/a", {}),
        ("a/{id?}", "/a/", {}),
        ("a/{id?}", "/a/1", {"id": "1"}),
        ("a/{id=7}", "/a", {"id": "7"}),
        ("a/{*rest}", "/a", {}),
        ("a/{**rest}", "/a/b/c", {"rest": "b/c"}),
        ("{name}.{extension}", "/file.tar.gz", {"name": "file", "extension": "tar.gz"}),
        ("a//b", "/a/b", "refused"),
        ("{*a}/b", "/a/b", "refused"),
        ("{a}/{A}", "/a/b", "refused"),
        ("{a:nothing}", "/a", "refused"),
        ("{}", "/a", "refused"),
        ("a}", "/a", "refused"),
    ],
)
def test_templates_match_as_in_asp_net(template: str, path: str, values: dict[str, str] | str | None) -> None:
    if values == "refused":
        with pytest.raises(ValueError, match=r"."):
            RouteTemplate(template)
    else:
        assert RouteTemplate(template).match(path) == values


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [("a%20b", "a b"), ("a%2Fb", "a%2Fb"), ("a%2fb", "a%2fb"), ("a%252Fb", "a%2Fb"), ("a+b", "a+b"), ("%C3%A9", "é")],
)
def test_every_escape_is_decoded_but_the_slash(raw: str, decoded: str) -> None:
    assert decode_segment(raw) == decoded


def test_the_more_specific_route_wins_whatever_the_order() -> None:
    table: RouteTable[str] = RouteTable()
    for template in ("api/{*rest}", "api/{id}", "api/{id:int}", "api/fixed"):
        table.add(template, template, None, template)

    def target(path: str) -> str:
        found = table.find("GET", path)
        assert found is not None
        return found[0]

    assert [target(f"/api/{rest}") for rest in ("fixed", "7", "x", "x/y")] == [
        "api/fixed",
        "api/{id:int}",
        "api/{id}",
        "api/{*rest}",
    ]


def test_methods_choose_between_functions_on_one_route() -> None:
    table: RouteTable[str] = RouteTable()
    table.add("reader", "api/x/{id}", ["get"], "reader")
    table.add("writer", "api/x/{name}", ["POST", "PUT"], "writer")
    assert table.find("GET", "/api/x/1") == ("reader", {"id": "1"})
    assert table.find("put", "/api/x/1") == ("writer", {"name": "1"})
    assert table.find("DELETE", "/api/x/1") is None


@pytest.mark.parametrize(("template", "methods"), [("api/X/{other}", ["POST", "GET"]), ("api/x/{id}", None)])
def test_the_same_route_and_method_twice_is_refused(template: str, methods: list[str] | None) -> None:
    table: RouteTable[str] = RouteTable()
    table.add("first", "api/x/{id}", ["GET"], "first")
    with pytest.raises(AppLoadError, match=r"Function 'second'.* is already that of function 'first'"):
        table.add("second", template, methods, "second")
