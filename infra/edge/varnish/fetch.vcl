# Asking origins, and for how long what they say is kept.

sub vcl_backend_fetch {
    # No address takes one. A body that is promised and never comes would be waited for, by all who ask for the same.
    unset bereq.body;
    if (bereq.http.x-lw-token) {
        # Once: a second try finds it in place.
        set bereq.url = "/p/" + bereq.http.x-lw-token + bereq.url;
    }
    unset bereq.http.x-lw-token;
    unset bereq.http.x-lw-kid;
    unset bereq.http.x-lw-expiry;
    unset bereq.http.x-lw-room;
    unset bereq.http.x-lw-mac;
    unset bereq.http.x-lw-outcome;
    # One listener asks for all: who that is, is no matter. And equal requests are answered sooner by an origin.
    unset bereq.http.X-Forwarded-For;
    unset bereq.http.X-Varnish;
    if (!bereq.uncacheable) {
        unset bereq.http.User-Agent;
        unset bereq.http.Origin;
        unset bereq.http.Accept-Language;
    }
    # An origin answers a request that waits within 6 s, also where there is nothing. A replay may come from far.
    if (bereq.url ~ "^(/p/[^/]+)?/live/") {
        set bereq.first_byte_timeout = 7.5s;
    }
    return (fetch);
}

sub vcl_backend_response {
    # Two lengths make it no answer (RFC 9110 8.6): Varnish would read so much, and listeners would wait for so much.
    std.collect(beresp.http.Content-Length);
    if (beresp.http.Content-Length ~ ",") {
        return (error(503, "an origin names two lengths"));
    }
    # An origin that fills, drains or is full says so at once: another one is asked. One that let the listener wait
    # for its whole time is believed: a player has no use for an answer that comes twice as late.
    if (beresp.status == 503 && now - bereq.time < 3s) {
        call other_origin;
    }
    set beresp.grace = 0s;
    # Served no longer than its lifetime, but there until the last of those is awake who had asked before it came.
    set beresp.keep = 10s;
    set beresp.do_stream = true;
    if (bereq.uncacheable) {
        return (deliver);
    }
    unset beresp.http.Set-Cookie;
    call refusal;
    call lifetime;
    call places;
    return (deliver);
}

# A token that is good here and not there: the origins do not have its key. That is the trouble of all who came with
# it, and of nobody else: others who wait ask with theirs. So the key's id goes into the objects' Vary (by a field of
# ours, which nobody sees: answer.vcl), and a crowd is one request for each key. One that ends within a minute may be
# over at an origin whose clock is ahead: then it is the trouble of that token.
sub refusal {
    if (beresp.status == 403 && bereq.url ~ "^/p/") {
        set bereq.http.x-lw-token = regsub(bereq.url, "^/p/([^/]+)/.*$", "\1");
        set bereq.http.x-lw-kid = regsub(bereq.http.x-lw-token, "\.[0-9]+\.[0-9a-f]{64}$", "");
        set bereq.http.x-lw-expiry = regsub(bereq.http.x-lw-token, "^.*\.([0-9]+)\.[0-9a-f]{64}$", "\1");
        if (now + 60s >= std.time(integer = std.integer(bereq.http.x-lw-expiry, 0))) {
            set beresp.http.Vary = "x-lw-token";
        } else {
            set beresp.http.Vary = "x-lw-kid";
        }
    }
}

# As long as the origin says (RFC 9213: CDN-Cache-Control before all else). Never hit-for-miss on what a crowd may
# ask for: for two minutes each of its requests would reach the origin. An object that lives for a millisecond is
# still the answer to everybody who asked before it came; one that lives for 0 s is not, and all who wait would be
# served one after the other.
sub lifetime {
    if (beresp.http.CDN-Cache-Control ~ "max-age=[0-9]{1,9}") {
        set beresp.ttl = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
        # Less what has passed of it in an edge between.
        set beresp.ttl = beresp.ttl - beresp.age;
    } elsif (beresp.status >= 400 && beresp.http.Cache-Control ~ "max-age=[0-9]{1,9}") {
        # Varnish itself looks at the fields of 404 and 410 only.
        set beresp.ttl = std.duration(regsub(beresp.http.Cache-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
        set beresp.ttl = beresp.ttl - beresp.age;
    } elsif (beresp.status < 400 && beresp.http.Cache-Control ~ "(?i)no-store|private") {
        # Not for others. No origin says so to a request that is looked up.
        set beresp.uncacheable = true;
        set beresp.ttl = 1s;
        return (deliver);
    }
    if (beresp.status >= 400 && beresp.ttl > 1s) {
        set beresp.ttl = 1s;
    }
    # An origin holds requests for what is about to come. One that was given a take a moment after another may not know
    # it yet, and what it says of it is heard by all who ask meanwhile.
    if (beresp.status == 404 && bereq.url ~ "/live/.*\.m4s$") {
        set beresp.ttl = 1ms;
    }
    # An error without a lifetime; what has grown old on its way; who is not let in, whatever is said of it.
    if (beresp.ttl <= 0s || beresp.status == 401 || beresp.status == 403) {
        set beresp.ttl = 1ms;
    }
}

# Live pieces and replays lie apart: for one replay of 30 MB ten thousand parts would have to go.
sub places {
    set beresp.storage = storage.live;
    if (bereq.url ~ "^(/p/[^/]+)?/replay/") {
        set beresp.storage = storage.replays;
    }
    # What may be edited is asked about when it is old (ETag: 304 for 30 MB), and answers while no origin does. What
    # is live has changed by then, and errors are not worth keeping.
    if (beresp.status < 400 && bereq.url !~ "^(/p/[^/]+)?/(live/|listen/[^/]+\.json$|rooms\.json$)") {
        set beresp.keep = 1h;
        set beresp.grace = 10m;
    }
}

# No origin, no answer in time, or the connection broke. What was waiting there is asked again of another one.
sub vcl_backend_error {
    call other_origin;
    set beresp.status = 503;
    set beresp.ttl = 1s;
    set beresp.grace = 0s;
    set beresp.keep = 10s;
    set beresp.http.Cache-Control = "public, max-age=1";
    set beresp.http.Retry-After = "1";
    set beresp.http.Content-Type = "application/json; charset=utf-8";
    set beresp.http.Access-Control-Allow-Origin = "*";
    set beresp.http.Server = "longwave";
    set beresp.body = """{"error": "no origin answers: try again in a moment"}
""";
    return (deliver);
}
