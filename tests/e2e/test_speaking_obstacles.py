"""What can keep somebody from speaking, and what the page says: address, invitation, microphone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.listener import launched
from tests.e2e.microphone import Guest, beeping, speaking, with_microphone
from tests.e2e.secure import NAME, RESOLVES, TOKEN, SecureServer, invitation
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    server = SecureServer(tmp_path_factory.mktemp("secure"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(server.authority))
        with server:
            yield server


@pytest.fixture(scope="module")
def microphone(
    browser: Browser, secure: SecureServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    sound = beeping(tmp_path_factory.mktemp("sound") / "beeps.wav")
    with with_microphone(browser, sound, RESOLVES, secure.trusted) as running:
        yield running


def says(page: Page, state: str, hint: str) -> None:
    expect(page.locator("#state")).to_have_text(state)
    expect(page.locator("#hint")).to_contain_text(hint)


def test_over_https_an_invitation_speaks_under_the_name_it_gives(
    secure: SecureServer, microphone: Browser
) -> None:
    token = invitation("speaker", "lan", "Ann Example")
    with speaking(microphone, f"{secure.named}/speak/lan#token={token}") as ann:
        assert ann.page.url == f"{secure.named}/speak/lan", "the token has left the address bar"
        name = ann.page.get_by_label("Your name")
        expect(name).to_have_value("Ann Example")
        expect(name).not_to_be_editable()
        ann.go_on_air()
        admin = {"Authorization": f"Bearer {TOKEN}"}
        live = secure.get("/rooms/lan", admin).json["live"]
        assert [speaker["name"] for speaker in live["speakers"]] == ["Ann Example"]
        expect(ann.page.get_by_role("heading", name="For the host")).to_be_hidden()
        ann.page.get_by_role("button", name="Leave").click()
        ann.page.reload()
        ann.wait_until(lambda knows: knows.get("room") == "known", "let in again")
        assert ann.knows["role"] == "speaker", "this tab still has the token"


def test_a_removed_guest_s_invitation_is_good_for_nothing_until_the_take_ends(
    secure: SecureServer, microphone: Browser
) -> None:
    host = f"{secure.named}/speak/party#token={invitation('host', 'party', 'Ann')}"
    guest = f"{secure.named}/speak/party#token={invitation('speaker', 'party', 'Ben')}"
    with speaking(microphone, host) as ann, speaking(microphone, guest) as ben:
        expect(ann.page.get_by_label("Your name")).to_have_value("Ann")
        expect(ann.page.get_by_label("Your name")).to_be_editable()
        ann.go_on_air()
        ben.go_on_air()
        expect(ben.page.get_by_role("button", name="Remove Ann")).to_be_hidden()
        ann.page.get_by_role("button", name="Remove Ben").click()
        ann.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        ben.wait_for_state("removed")
        ben.page.reload()
        ben.wait_until(lambda knows: knows.get("state") in {"off", "ready"}, "as if new")
        if ben.knows["state"] == "off":
            ben.page.get_by_role("button", name="Use the microphone").click()
        ben.page.get_by_role("button", name="Go on air").click()
        ben.wait_for_state("forbidden")
        expect(ben.page.locator("#hint")).to_contain_text("removed")
        assert ann.knows["state"] == "onair"


@pytest.mark.parametrize(
    ("fragment", "state", "hint"),
    [
        ("", "An invitation is needed", "Ask its host for one"),
        ("#token=nonsense", "This invitation is not for speaking here", "Ask the host for a link"),
        ("#token={other}", "This invitation is not for speaking here", "Ask the host for a link"),
        ("#token={old}", "The invitation has run out", "new link"),
    ],
)
def test_without_a_good_invitation_the_page_says_what_to_do(
    secure: SecureServer, microphone: Browser, fragment: str, state: str, hint: str
) -> None:
    text = fragment.format(
        other=invitation("speaker", "another-room"), old=invitation("speaker", "lan", seconds=-60)
    )
    with speaking(microphone, f"{secure.named}/speak/lan{text}") as guest:
        says(guest.page, state, hint)
        guest.wait_until(lambda knows: knows["microphone"] == "closed", "not listened to")
        expect(guest.page.get_by_role("button", name="Go on air")).to_be_hidden()
        expect(guest.page.get_by_role("button", name="Use the microphone")).to_be_hidden()


def test_a_token_goes_to_no_address_and_no_referer(secure: SecureServer, microphone: Browser) -> None:
    token = invitation("speaker", "lan", "Ann")
    context = microphone.new_context()
    page = context.new_page()
    leaks: list[str] = []
    bearers: set[str] = set()

    def look(url: str, headers: dict[str, str]) -> None:
        bearers.update(value for key, value in headers.items() if key.lower() == "authorization")
        rest = [
            url.partition("#")[0],
            *(value for key, value in headers.items() if key.lower() != "authorization"),
        ]
        leaks.extend(text for text in rest if token in text)

    page.on("request", lambda request: look(request.url, request.headers))
    guest = Guest(page)
    page.goto(f"{secure.named}/speak/lan#token={token}")
    guest.go_on_air()
    context.close()
    assert leaks == []
    assert bearers == {f"Bearer {token}"}


def test_over_plain_http_the_page_says_that_https_is_needed(
    shared_server: Server, microphone: Browser
) -> None:
    with speaking(microphone, f"http://{NAME}:{shared_server.port}/speak/lan") as guest:
        says(guest.page, "A secure address is needed", "https://")
        expect(guest.page.get_by_role("button", name="Use the microphone")).to_be_hidden()
        assert guest.errors == []


def test_a_refused_permission_can_be_given_later(shared_server: Server, browser: Browser) -> None:
    with (
        launched(
            browser.browser_type, "--use-fake-device-for-media-stream", "--deny-permission-prompts"
        ) as shy,
        speaking(shy, f"{shared_server.url}/speak/shy") as guest,
    ):
        guest.page.get_by_role("button", name="Use the microphone").click()
        says(guest.page, "The microphone is not allowed", "Allow it for this page")
        guest.page.context.grant_permissions(["microphone"])
        guest.page.get_by_role("button", name="Use the microphone").click()
        guest.wait_for_state("ready")


def test_without_a_microphone_the_page_waits_for_one(shared_server: Server, microphone: Browser) -> None:
    context = microphone.new_context()
    page = context.new_page()
    page.add_init_script(
        """{
          const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          window.plugged = false;
          navigator.mediaDevices.getUserMedia = (wish) => window.plugged ? open(wish)
            : Promise.reject(new DOMException("Requested device not found", "NotFoundError"));
        }"""
    )
    page.goto(f"{shared_server.url}/speak/deaf")
    says(page, "No microphone was found", "Plug one in")
    page.evaluate("window.plugged = true; navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    Guest(page).wait_for_state("ready")
    context.close()


def test_the_name_is_asked_for_before_the_room_hears_anybody(
    shared_server: Server, microphone: Browser
) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/nameless") as guest:
        guest.wait_for_state("ready")
        guest.page.get_by_role("button", name="Go on air").click()
        expect(guest.page.get_by_label("Your name")).to_be_focused()
        assert guest.knows["wanted"] is False
        guest.say_name("Ann")
        guest.page.keyboard.press("Enter")
        guest.wait_for_state("onair")
        guest.page.reload()
        expect(guest.page.get_by_label("Your name")).to_have_value("Ann")
