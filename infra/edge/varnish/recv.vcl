# What happens to a request, in order. Each step has a file of its own.

sub vcl_recv {
    # Names of ours in a request are somebody's attempt.
    unset req.http.x-lw-token;
    unset req.http.x-lw-kid;
    unset req.http.x-lw-expiry;
    unset req.http.x-lw-room;
    unset req.http.x-lw-mac;
    unset req.http.x-lw-outcome;
    unset req.http.x-lw-said;
    unset req.http.x-lw-kind;
    unset req.http.x-lw-size;

    set req.backend_hint = origins.backend();
    call loops;
    call purge;
    call private_rooms;
    call public_table;
    call normalise;
    call fields;

    # What is stale is for the time when no origin answers, and of nothing live is it kept (fetch.vcl).
    if (std.healthy(req.backend_hint)) {
        set req.grace = 0s;
    }
    # A host's own look at a replay; a precondition, which only the origin can check; a text that holds the token.
    if (req.http.Authorization || req.http.If-Match || (req.http.x-lw-token && req.url ~ "^/feeds/")) {
        return (pass);
    }
    return (hash);
}

# RFC 8586. A second edge before this one is fine, going round in circles is not.
sub loops {
    # It may come in several lines.
    std.collect(req.http.CDN-Loop);
    if (req.http.CDN-Loop ~ "(longwave-edge\b.*){4}") {
        return (synth(508, "this request goes round in circles between edges"));
    }
    if (req.http.CDN-Loop) {
        set req.http.CDN-Loop = req.http.CDN-Loop + ", longwave-edge";
    } else {
        set req.http.CDN-Loop = "longwave-edge";
    }
}
