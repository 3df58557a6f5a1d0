# Private rooms: /p/{kid}.{expiry}.{mac}/live/{room}/… (also /replay, /feeds and /listen). The token is checked, cut
# off before the cache key is made, and put back before an origin is asked, which checks it again. listen_mac, above,
# is made of the keys.

sub private_rooms {
    if (req.url ~ "^/p/") {
        if (req.method == "OPTIONS") {
            # A preflight shows nothing, and asks for nothing.
            return (synth(204));
        }
        # A kid may hold dots: the mac and the expiry are found from the right.
        if (req.url !~ "^/p/[A-Za-z0-9._-]{1,64}\.[1-9][0-9]{0,11}\.[0-9a-f]{64}/") {
            return (synth(403, "this address is not known here: ask whoever invited you for a new one"));
        }
        set req.http.x-lw-token = regsub(req.url, "^/p/([^/]+)/.*$", "\1");
        set req.http.x-lw-kid = regsub(req.http.x-lw-token, "\.[0-9]+\.[0-9a-f]{64}$", "");
        set req.http.x-lw-expiry = regsub(req.http.x-lw-token, "^.*\.([0-9]+)\.[0-9a-f]{64}$", "\1");
        set req.url = regsub(req.url, "^/p/[^/]+", "");

        if (req.url ~ "^/(live|replay)/[A-Za-z0-9_-]{1,64}/[^?]" ||
            req.url ~ "^/listen/[A-Za-z0-9_-]{1,64}(\.json)?(\?|$)" ||
            req.url ~ "^/feeds/[A-Za-z0-9_-]{1,64}\.xml(\?|$)") {
            set req.http.x-lw-room = regsub(req.url, "^/[a-z]+/([A-Za-z0-9_-]+).*$", "\1");
        } else {
            return (synth(404, "nothing lives at this address"));
        }

        call listen_mac;
        if (!req.http.x-lw-mac) {
            return (synth(403, "this address is not known here: ask whoever invited you for a new one"));
        }
        if (req.http.x-lw-mac != "0x" + regsub(req.http.x-lw-token, "^.*\.", "")) {
            return (synth(403, "this address is not good for this room"));
        }
        # As times: in whole numbers, now is rounded, and a token would be over half a second early.
        if (now >= std.time(integer = std.integer(req.http.x-lw-expiry, 0))) {
            return (synth(403, "this address has expired: ask whoever invited you for a new one"));
        }
    }
}
