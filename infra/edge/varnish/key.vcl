# The cache key: the path, and of the query the three delivery directives in the order of their names.

sub normalise {
    if (req.url ~ "^/live/[^?]*/index\.m3u8\?") {
        # Sorted: msn, part, skip. Everything else is dropped, so that no tracking parameter makes a copy of its own.
        # A directive twice, one that is no number, or one that is spelt in codes, which an origin reads, stays as it
        # is: what the origin says of it is kept under its own name.
        set req.url = std.querysort(req.url);
        set req.url = regsuball(req.url,
            "(?<=[?&])(?!(?:_|%5[Ff])HLS(?:_|%5[Ff])(?:msn|part|skip)(?:=|&|$))[^&]*(?:&|$)", "");
        set req.url = regsub(req.url, "[?&]+$", "");
    } else {
        set req.url = regsub(req.url, "\?.*$", "");
    }
}

# What goes no further, and what means something in a few places only.
sub fields {
    unset req.http.Cookie;
    # May hold an address that lets people in.
    unset req.http.Referer;
    # Hosts see replays that are not published. Anywhere else a token would only lead past the cache.
    if (req.url !~ "^/replay/") {
        unset req.http.Authorization;
        unset req.http.If-Match;
    }
    # Live pieces have an address each: an origin answers a range with the whole, and so does an edge.
    # Several at once are none to either; Varnish would refuse them.
    if (req.url ~ "^/live/" || req.http.Range !~ "(?i)^bytes=([0-9]{1,15}-[0-9]{0,15}|-[0-9]{1,15})$") {
        unset req.http.Range;
    }
}

sub vcl_hash {
    # Whoever has no token never meets what was let in for those who have one.
    if (req.http.x-lw-token) {
        hash_data("private");
    }
    hash_data(req.url);
    # A feed holds whole addresses, and these may be made of the name that it was asked for under.
    if (req.url ~ "^/feeds/") {
        hash_data(std.tolower(req.http.Host));
    }
    return (lookup);
}
