"""infra/terraform without its provider: what it refers to exists, and its numbers are the origin's.

Terraform itself can only check these files with the AWS provider at hand. Here they are parsed: every
reference has its resource, variable or local value, cache lifetimes and keys are those of
`origin/cache_policy.py`, logs hold nothing that could hold a token, and CloudFront reads nothing of the
bucket but media.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import hcl2
import pytest

from contracts.take import TakeKey
from origin.cache_policy import CACHE_CONTROL, Kind, cache_fields, error_cache_control
from origin.representation import surrogate_key
from storage.names import META, RECORD, REPLAY_M4A, STORY, fragment_name, room_name, take_object

ROOT = Path(__file__).parents[2]
HERE = ROOT / "infra/terraform"
FILES = sorted(HERE.glob("*.tf"))
TAKE = TakeKey("room", "20260131T200000Z-abc234")


def plain(value: Any) -> Any:  # noqa: ANN401 - a document of another language
    """A parsed document with its strings as they are meant, and without the parser's own marks."""
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.removeprefix('"').removesuffix('"') if isinstance(value, str) else value


@pytest.fixture(scope="module")
def blocks() -> dict[str, list[Any]]:
    """All blocks of all files by kind, such as `resource`."""
    whole: dict[str, list[Any]] = {}
    for file in FILES:
        for kind, found in plain(hcl2.loads(file.read_text())).items():
            whole.setdefault(kind, []).extend(found)
    return whole


@pytest.fixture(scope="module")
def resources(blocks: dict[str, list[Any]]) -> dict[str, Any]:
    """Resources by `type.name`."""
    return dict(named(blocks["resource"]))


@pytest.fixture(scope="module")
def local_values(blocks: dict[str, list[Any]]) -> dict[str, Any]:
    """Local values by name."""
    return {name: value for block in blocks["locals"] for name, value in block.items()}


def named(found: list[Any]) -> Iterator[tuple[str, Any]]:
    """Blocks with two labels, by both."""
    for block in found:
        for kind, inside in block.items():
            for name, body in inside.items():
                yield f"{kind}.{name}", body


def seconds(cache_control: str) -> int:
    """A lifetime; 0 for what is not kept."""
    found = re.search(r"max-age=(\d+)", cache_control)
    return int(found[1]) if found else 0


# ---- it hangs together ----------------------------------------------------------------------------------


def test_whatever_is_referred_to_exists(
    blocks: dict[str, list[Any]], resources: dict[str, Any], local_values: dict[str, Any]
) -> None:
    variables = {name for block in blocks["variable"] for name in block}
    documents = dict(named(blocks["data"]))
    text = "\n".join(re.sub(r"#.*", "", file.read_text()) for file in FILES)
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
    assert set(re.findall(r"\blocal\.(\w+)", text)) == set(local_values)
    assert {f"{kind}.{name}" for kind, name in re.findall(r"\bdata\.(\w+)\.(\w+)", text)} <= set(documents)
    without_data = re.sub(r"\bdata\.\w+\.\w+", "", text)
    used = {f"{kind}.{name}" for kind, name in re.findall(r"\b(aws_\w+)\.(\w+)", without_data)}
    assert used
    assert used <= set(resources)


def test_references_to_what_exists_once_or_not_at_all_say_which(resources: dict[str, Any]) -> None:
    text = "\n".join(file.read_text() for file in FILES)
    for name, body in resources.items():
        uses = re.findall(rf"(?<!data\.){re.escape(name)}\b(\[[0*]\]|\.\w+|)", text)
        if "count" in body:
            # Whole, as a list, or one of it; never an attribute of all.
            assert not [use for use in uses if use.startswith(".")], name
        else:
            assert not [use for use in uses if use.startswith("[")], name


def test_its_page_names_every_variable_and_output(blocks: dict[str, list[Any]]) -> None:
    page = (HERE / "README.md").read_text()
    for kind in ("variable", "output"):
        for name in (name for block in blocks[kind] for name in block):
            assert f"`{name}`" in page, name


# ---- what is kept, and under which name -------------------------------------------------------------------


def test_exactly_the_delivery_directives_are_in_a_playlists_key(resources: dict[str, Any]) -> None:
    keys = {name: key_of(resources, name) for name in ("playlists", "files", "pages")}
    strings = keys["playlists"]["query_strings_config"][0]
    assert strings["query_string_behavior"] == "whitelist"
    assert strings["query_strings"][0]["items"] == ["_HLS_msn", "_HLS_part", "_HLS_skip"]
    for name, key in keys.items():
        assert key["cookies_config"] == [{"cookie_behavior": "none"}]
        assert key["headers_config"] == [{"header_behavior": "none"}]
        assert name == "playlists" or key["query_strings_config"] == [{"query_string_behavior": "none"}]


def key_of(resources: dict[str, Any], policy: str) -> Any:  # noqa: ANN401 - a document of another language
    return resources[f"aws_cloudfront_cache_policy.{policy}"][
        "parameters_in_cache_key_and_forwarded_to_origin"
    ][0]


def test_lifetimes_are_what_the_origin_says(resources: dict[str, Any]) -> None:
    ttls = {
        name: [resources[f"aws_cloudfront_cache_policy.{name}"][f"{end}_ttl"] for end in ("min", "max")]
        for name in ("playlists", "files", "pages")
    }
    longest = max(seconds(CACHE_CONTROL[kind]) for kind in (Kind.BLOCKING_PLAYLIST, Kind.ENDED_PLAYLIST))
    assert ttls["playlists"] == [0, longest]
    # A minimum would keep what must not be kept: a host's own view of what is not published.
    assert ttls["files"] == [0, seconds(CACHE_CONTROL[Kind.SEGMENT])]
    # For a CDN that does not read CDN-Cache-Control.
    kept = seconds(cache_fields(Kind.PAGE)["CDN-Cache-Control"])
    assert ttls["pages"] == [kept, kept]


def test_errors_are_kept_for_as_long_as_the_origin_says(local_values: dict[str, Any]) -> None:
    told = {int(status): kept for status, kept in local_values["error_ttls"].items()}
    # What CloudFront itself answers for an origin that is away is met by the same crowd.
    assert (told.pop(502), told.pop(504)) == (1, 1)
    assert told == {status: seconds(error_cache_control(status)) for status in told}
    assert {400, 403, 404, 500, 503} <= set(told)


@pytest.mark.parametrize(
    ("address", "policy", "code"),
    [
        ("/live/room/index.m3u8", "playlists", "listen"),
        (f"/live/room/{TAKE.take}/64k/index.m3u8", "playlists", "listen"),
        (f"/live/room/{TAKE.take}/64k/3.1.m4s", "files", ""),
        (f"/p/k.1.00/live/room/{TAKE.take}/64k/index.m3u8", "playlists", "listen"),
        (f"/p/k.1.00/live/room/{TAKE.take}/64k/3.1.m4s", "files", "listen"),
        ("/p/k.1.00/listen/room.json", "playlists", "listen"),
        ("/p/k.1.00/feeds/room.xml", "files", "listen"),
        ("/listen/room.json", "playlists", ""),
        ("/listen/room", "pages", ""),
        ("/rooms.json", "playlists", ""),
        (f"/replay/room/{TAKE.take}.m4a", "files", ""),
        (f"/replay/room/{TAKE.take}/chapters.json", "files", ""),
        (f"/replay/room/{TAKE.take}", "pages", ""),
        ("/feeds/room.xml", "files", ""),
        ("/speak/room", "pages", ""),
        ("/assets/hls.mjs", "pages", ""),
        ("/", None, ""),
        ("/metrics", None, ""),
        ("/publish/room/take", None, ""),
        ("/rooms/room", None, ""),
        ("/edges/one/listeners", None, ""),
        ("/whip/room", None, ""),
    ],
)
def test_each_address_is_kept_by_the_right_policy(
    local_values: dict[str, Any], address: str, policy: str | None, code: str
) -> None:
    """None: the default behaviour, whose function answers all but the lobby with 404."""
    found = next((row for row in local_values["behaviors"] if fnmatchcase(address, row["path"])), None)
    assert (None if found is None else found["policy"]) == policy
    assert found is None or found["code"] == code
    assert found is None or (found["headers"] == "private") == address.startswith("/p/")


def test_a_request_that_waits_for_a_part_is_waited_for(resources: dict[str, Any]) -> None:
    origin = resources["aws_cloudfront_distribution.live"]["dynamic"][0]["origin"]["content"][0]
    assert origin["custom_origin_config"][0]["origin_read_timeout"] >= 6 * 2


def test_a_request_that_was_waited_for_in_vain_is_not_waited_for_again(resources: dict[str, Any]) -> None:
    """A 503 may have taken 6 s. CloudFront cannot tell, and the sister would wait as long."""
    live = resources["aws_cloudfront_distribution.live"]
    (group,) = (each["origin_group"] for each in live["dynamic"] if "origin_group" in each)
    assert group["content"][0]["failover_criteria"] == [{"status_codes": [502, 504]}]


def test_an_invalidation_by_tag_finds_what_origins_mark(resources: dict[str, Any]) -> None:
    live = resources["aws_cloudfront_distribution.live"]
    assert live["cache_tag_config"] == [{"header_name": name} for name in surrogate_key(TAKE.take)]


# ---- who may read what ------------------------------------------------------------------------------------


def test_cloudfront_reads_media_of_the_bucket_and_nothing_else(blocks: dict[str, list[Any]]) -> None:
    document = dict(named(blocks["data"]))["aws_iam_policy_document.archive"]
    statement = document["dynamic"][0]["statement"]["content"][0]
    assert statement["actions"] == ["s3:GetObject"]
    patterns = [each.split("${local.prefix}")[1] for each in statement["resources"]]
    redirected = [take_object(TAKE, REPLAY_M4A), fragment_name(TAKE, "64k", 15)]
    others = [room_name("room"), *(take_object(TAKE, name) for name in (STORY, RECORD, META))]
    for name in redirected:
        assert any(fnmatchcase(name, pattern) for pattern in patterns), name
    for name in others:
        assert not any(fnmatchcase(name, pattern) for pattern in patterns), name


def test_roles_may_do_what_the_storage_asks_for_and_no_more(blocks: dict[str, list[Any]]) -> None:
    documents = dict(named(blocks["data"]))
    may = {
        name: {action for statement in documents[f"aws_iam_policy_document.{name}"]["statement"]
               for action in statement["actions"]}
        for name in ("writer", "reader")
    }  # fmt: skip
    told = (ROOT / "storage/s3_errors.py").read_text()
    assert may["writer"] == set(re.findall(r"s3:\w+", told))
    assert may["reader"] == {"s3:ListBucket", "s3:GetObject"}


def test_the_cors_of_replays_is_that_of_the_docs(resources: dict[str, Any]) -> None:
    page = (ROOT / "docs/replays.md").read_text()
    told = json.loads(page.split("<!-- file: cors.json -->\n```json\n")[1].split("```")[0])["CORSRules"][0]
    cors = resources["aws_cloudfront_response_headers_policy.replays"]["cors_config"][0]
    for ours, theirs in (
        ("allow_origins", "AllowedOrigins"),
        ("allow_methods", "AllowedMethods"),
        ("allow_headers", "AllowedHeaders"),
        ("expose_headers", "ExposeHeaders"),
    ):
        assert cors[f"access_control_{ours}"][0]["items"] == told[theirs]


def test_no_log_holds_what_could_hold_a_token(resources: dict[str, Any]) -> None:
    fields = resources["aws_cloudwatch_log_delivery.live"]["record_fields"]
    assert fields
    assert not [field for field in fields if re.search(r"(?i)uri|query|referer|cookie", field)]
