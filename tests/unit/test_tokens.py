"""Tokens: who they let in, and everything that is no good token. Time is an argument."""

from __future__ import annotations

import base64
import hashlib
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.access import Grant
from contracts.errors import Forbidden, Unauthorized, UsageError
from contracts.tokens import Keys, RoleToken, TokenGate, derived_secret, parse_keys
from longwave.role_token import edge_token
from longwave.settings import HttpSettings, SecretSettings, load_settings
from longwave.token import make_token

NOW = 1_800_000_000
OLD, NEW = b"o" * 32, b"n" * 32
KEYS = Keys({"new": NEW, "old": OLD})
SPEAKER = Grant("speaker", "room", "Ada", "id-1")
CLAIMS = {"role": "speaker", "room": "room", "name": "Ada", "jti": "id-1", "exp": NOW + 60}


def signed(claims: object, secret: bytes = NEW, kid: object = "new", **header: object) -> str:
    """A JWT with its pieces made by hand: libraries refuse to make some of what they may be shown."""
    pieces = [{"alg": "HS256", "typ": "JWT", "kid": kid, **header}, claims]
    packed = b".".join(_base64(json.dumps(piece).encode()) for piece in pieces)
    return (packed + b"." + _base64(_mac(packed, secret))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _mac(data: bytes, secret: bytes) -> bytes:
    # RFC 2104, so that the tests do not trust the library that they test.
    inner, outer = (bytes(b ^ pad for b in secret.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    return hashlib.sha256(outer + hashlib.sha256(inner + data).digest()).digest()


@pytest.mark.parametrize(
    "grant",
    [SPEAKER, Grant("host", "room"), Grant("admin"), Grant("publish"), Grant("publish", "room", id="x")],
)
def test_what_is_signed_is_granted(grant: Grant) -> None:
    assert KEYS.verify(KEYS.sign(grant, NOW + 60), NOW) == grant


def test_a_token_of_anybody_who_has_a_key_is_good() -> None:
    assert KEYS.verify(signed(CLAIMS), NOW) == SPEAKER
    assert KEYS.verify(signed(CLAIMS, OLD, "old"), NOW) == SPEAKER
    assert KEYS.verify(jwt.encode(CLAIMS, NEW, "HS256"), NOW) == SPEAKER


def test_the_first_key_signs_and_is_meant_without_a_kid() -> None:
    token = KEYS.sign(SPEAKER, NOW + 60)
    assert jwt.get_unverified_header(token)["kid"] == "new"
    assert jwt.decode(token, NEW, ["HS256"], options={"verify_exp": False}) == CLAIMS
    with pytest.raises(Forbidden, match="signature"):
        KEYS.verify(jwt.encode(CLAIMS, OLD, "HS256"), NOW)


def test_what_others_claim_beside_it_does_not_matter() -> None:
    more = {"aud": ["x"], "iss": 7, "sub": 7, "iat": NOW + 9999, "color": "red", "nbf": NOW}
    assert KEYS.verify(signed({**CLAIMS, **more}), NOW) == SPEAKER


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"exp": NOW - 11}, "expired"),
        ({"exp": None}, "needs exp"),
        ({"exp": "2100"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("nan")}, "expired"),
        ({"exp": float("inf")}, "exp is no time"),
        ({"exp": 10**400}, "exp is no time"),
        ({"nbf": -(10**400)}, "nbf is no time"),
        ({"nbf": NOW + 11}, "not good yet"),
        ({"nbf": float("nan")}, "not good yet"),
        ({"role": None}, "role"),
        ({"role": "root"}, "role"),
        ({"role": ["admin"]}, "role"),
        ({"role": {"admin": 1}}, "role"),
        ({"room": None}, "room"),
        ({"role": "host", "room": None}, "room"),
        ({"room": "a b"}, "room id"),
        ({"room": 7}, "room"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": ["Ada"]}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"jti": 7}, "jti"),
        ({"jti": "x" * 129}, "jti"),
    ],
)
def test_claims_that_cannot_be_are_refused_with_the_reason(claims: dict[str, object], says: str) -> None:
    merged = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    with pytest.raises(Forbidden, match=says):
        KEYS.verify(signed(merged), NOW)


def test_clocks_may_differ_by_a_little() -> None:
    assert KEYS.verify(signed({**CLAIMS, "exp": NOW - 9, "nbf": NOW + 9}), NOW) == SPEAKER


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (signed(CLAIMS, b"x" * 32), "signature"),
        (signed(CLAIMS, OLD), "signature"),
        (signed(CLAIMS, kid="unknown"), "key that is not known"),
        (signed(CLAIMS, kid=7), "not known"),
        (signed(CLAIMS, kid=["new"]), "not known"),
        (signed(CLAIMS, kid=None), "not known"),
        (signed(CLAIMS, alg="none"), "HS256"),
        (signed(CLAIMS, alg="HS512"), "HS256"),
        (signed(CLAIMS, alg="RS256"), "HS256"),
        (signed(CLAIMS, alg=None), "HS256"),
        (signed(CLAIMS, crit=["b64"], b64=False), "not known"),
        (signed([CLAIMS]), "not known"),
        (signed("speaker"), "not known"),
        (signed(CLAIMS).rpartition(".")[0] + ".", "signature"),
        (_base64(b'{"alg": "none"}').decode() + "." + signed(CLAIMS).split(".")[1] + ".", "HS256"),
        (_base64(b"[" * 5000).decode() + ".e30.", "not known"),
        ("", "not known"),
        ("..", "not known"),
        ("guess", "not known"),
        ("a.b.c", "not known"),
        ("tök.en.\udcff", "not known"),
    ],
)
def test_a_token_that_nobody_signed_is_refused(token: str, says: str) -> None:
    with pytest.raises(Forbidden, match=says) as refused:
        KEYS.verify(token, NOW)
    assert not token or token not in refused.value.message


@given(st.text(max_size=200) | st.from_regex(r"\A[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}\Z", fullmatch=True))
def test_no_text_does_more_than_be_refused(token: str) -> None:
    with pytest.raises(Forbidden):
        KEYS.verify(token, NOW)


@given(st.data())
def test_a_token_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    token = signed(CLAIMS)
    # But for the last: it holds bits that mean nothing.
    place = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.characters(max_codepoint=127).filter(lambda character: character != token[place]))
    with pytest.raises(Forbidden):
        KEYS.verify(token[:place] + other + token[place + 1 :], NOW)


def test_without_a_token_and_keys_everybody_is_admin() -> None:
    assert TokenGate().admit(None) == Grant("admin")
    assert TokenGate().admit("anything") == Grant("admin")


def test_the_admins_token_opens_everything() -> None:
    assert TokenGate("s3crét").admit("s3crét") == Grant("admin")
    # Header bytes that are no UTF-8 arrive as surrogates.
    assert TokenGate("s3crét", KEYS).admit("s3cr\udcc3\udca9t") == Grant("admin")


@pytest.mark.parametrize("gate", [TokenGate("s3cret"), TokenGate(keys=KEYS), TokenGate("s3cret", KEYS)])
def test_no_token_is_unauthorized_and_a_wrong_one_forbidden(gate: TokenGate) -> None:
    with pytest.raises(Unauthorized):
        gate.admit(None)
    for shown in ("wrong", "", "s3cre", "s3crett", "\udcff"):
        with pytest.raises(Forbidden):
            gate.admit(shown)


def test_a_gate_looks_at_its_clock() -> None:
    token = KEYS.sign(SPEAKER, NOW)
    assert TokenGate(keys=KEYS, clock=lambda: NOW - 1).admit(token) == SPEAKER
    with pytest.raises(Forbidden, match="expired"):
        TokenGate(keys=KEYS, clock=lambda: NOW + 60).admit(token)


def test_gates_and_keys_do_not_show_what_they_hold() -> None:
    shown = repr(TokenGate("s3cret", KEYS)) + repr(KEYS) + repr(RoleToken(KEYS, SPEAKER))
    assert "s3cret" not in shown
    assert NEW.decode() not in shown


def test_the_token_of_a_role_is_made_anew_before_it_is_over() -> None:
    now = float(NOW)
    own = RoleToken(KEYS, Grant("publish"), clock=lambda: now)
    first = own()
    assert own() == first
    for _ in range(100):
        now += 3600
        assert KEYS.verify(own(), now + 6 * 3600) == Grant("publish")
    assert own() != first


def test_an_edge_may_have_a_publish_token_in_the_place_of_the_secret() -> None:
    given = KEYS.sign(Grant("publish"), NOW + 60)
    shown = edge_token(given, Keys({"token": derived_secret(given)}))
    assert shown is not None
    assert KEYS.verify(shown(), NOW) == Grant("publish")


def test_an_edge_that_has_the_secret_signs_for_itself() -> None:
    shown = edge_token("eyJ.s3cret", KEYS)
    assert shown is not None
    assert shown() != "eyJ.s3cret"
    assert edge_token(None, None) is None


def test_the_admins_token_has_a_key_that_others_can_derive() -> None:
    # As Node says: crypto.scryptSync("s3cret", "longwave signing key", 32).
    assert derived_secret("s3cret").hex() == (
        "8668a9512fb02b077d5459c1332513faa03ae9db0d1c3aff480c1638d4345e0e"
    )


def test_keys_are_read_in_their_order() -> None:
    secrets = parse_keys(f"new={'n' * 32}, old={'o=' * 16}")
    assert list(secrets.items()) == [("new", NEW), ("old", b"o=" * 16)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s3cret-without-a-name", "kid=secret"),
        (f"={'n' * 32}", "kid=secret"),
        (f"a b={'n' * 32}", "kid=secret"),
        (f"new={'n' * 32},", "kid=secret"),
        (f"new={'n' * 31}", "32 bytes"),
        (f"new={'n' * 32},new={'m' * 32}", "twice"),
    ],
)
def test_bad_keys_are_told_without_being_shown(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.setenv("LONGWAVE_KEYS", text)
    with pytest.raises(UsageError, match=says) as refused:
        load_settings(SecretSettings, {})
    assert refused.value.message.startswith("LONGWAVE_KEYS: ")
    assert "n" * 31 not in refused.value.message
    assert "s3cret" not in refused.value.message


def test_settings_make_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LONGWAVE_TOKEN", raising=False)
    monkeypatch.setenv("LONGWAVE_KEYS", "")
    assert load_settings(SecretSettings, {}).token_keys() is None
    monkeypatch.setenv("LONGWAVE_TOKEN", "s3cret")
    derived = load_settings(SecretSettings, {}).token_keys()
    assert derived
    assert derived.verify(signed(CLAIMS, derived_secret("s3cret"), "token"), NOW) == SPEAKER
    monkeypatch.setenv("LONGWAVE_KEYS", f"new={NEW.decode()}")
    both = load_settings(SecretSettings, {}).token_keys()
    assert both
    assert KEYS.verify(both.sign(SPEAKER, NOW + 60), NOW) == SPEAKER
    assert both.verify(derived.sign(SPEAKER, NOW + 60), NOW) == SPEAKER
    assert NEW.decode() not in repr(load_settings(SecretSettings, {}))


def test_a_server_on_a_network_needs_a_token_or_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LONGWAVE_TOKEN", "LONGWAVE_KEYS"):
        monkeypatch.delenv(name, raising=False)
    exposed = {"host": "192.0.2.1"}
    with pytest.raises(UsageError, match="LONGWAVE_TOKEN"):
        load_settings(HttpSettings, exposed).check_exposure()
    load_settings(HttpSettings, {"host": "127.0.0.1"}).check_exposure()
    monkeypatch.setenv("LONGWAVE_KEYS", f"new={NEW.decode()}")
    load_settings(HttpSettings, exposed).check_exposure()
    monkeypatch.setenv("LONGWAVE_KEYS", "")
    monkeypatch.setenv("LONGWAVE_TOKEN", "s3cret")
    load_settings(HttpSettings, exposed).check_exposure()


@pytest.mark.parametrize(
    ("good_for", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)]
)
def test_the_command_makes_tokens_with_an_end_and_an_id(good_for: str, seconds: int) -> None:
    one, other = (make_token(KEYS, "speaker", "room", "Ada", good_for, NOW) for _ in range(2))
    grant = KEYS.verify(one, NOW + seconds - 1)
    assert (grant.role, grant.room, grant.name) == ("speaker", "room", "Ada")
    assert grant.id != KEYS.verify(other, NOW).id
    with pytest.raises(Forbidden, match="expired"):
        KEYS.verify(one, NOW + seconds + 10)


@pytest.mark.parametrize(
    ("role", "room", "name", "good_for", "says"),
    [
        ("root", "room", None, "12h", "--role"),
        ("speaker", None, None, "12h", "--room"),
        ("host", None, None, "12h", "--room"),
        ("host", "a b", None, "12h", "room id"),
        ("host", "room", "a\nb", "12h", "name"),
        ("admin", None, None, "12", "--for"),
        ("admin", None, None, "0h", "--for"),
        ("admin", None, None, "-1h", "--for"),
        ("admin", None, None, "1w", "--for"),
    ],
)
def test_the_command_says_what_is_wrong(
    role: str, room: str | None, name: str | None, good_for: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        make_token(KEYS, role, room, name, good_for, NOW)
