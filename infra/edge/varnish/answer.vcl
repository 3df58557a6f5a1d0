# What listeners get, and what is counted.

sub vcl_deliver {
    call range_beyond_the_end;
    unset resp.http.X-Varnish;
    # Which server this is, but not its version.
    set resp.http.Via = regsub(resp.http.Via, "[^,]*\(Varnish[^)]*\)$", "1.1 longwave-edge");
    # Varnish offers ranges of whatever it has; key.vcl says why not of these.
    if (req.url ~ "^/live/" && resp.http.Accept-Ranges) {
        set resp.http.Accept-Ranges = "none";
    }
    # How it came about (RFC 9211), after what an edge before us has said of it.
    if (req.http.x-lw-outcome == "pass") {
        set req.http.x-lw-said = "longwave-edge; fwd=request";
    } elsif (obj.hits > 0) {
        set req.http.x-lw-outcome = "hit";
        set req.http.x-lw-said = "longwave-edge; hit";
    } else {
        set req.http.x-lw-outcome = "miss";
        set req.http.x-lw-said = "longwave-edge; fwd=miss";
    }
    if (resp.http.Cache-Status) {
        set resp.http.Cache-Status = resp.http.Cache-Status + ", " + req.http.x-lw-said;
    } else {
        set resp.http.Cache-Status = req.http.x-lw-said;
    }
    if (req.http.x-lw-token) {
        set resp.http.Referrer-Policy = "no-referrer";
        # A field of ours: fetch.vcl tells whose refusal it is by it.
        if (resp.http.Vary ~ "^x-lw-") {
            unset resp.http.Vary;
        }
    }
    call count;
    return (deliver);
}

# Varnish cuts ranges behind vcl_deliver. What it refuses there would be without a word, and as if that were good for as
# long as the whole is.
sub range_beyond_the_end {
    if (req.http.Range && !req.http.If-Range && req.method == "GET" && resp.status == 200 &&
        resp.http.Content-Length && !resp.http.Content-Encoding) {
        set req.http.x-lw-size = resp.http.Content-Length;
        # First and last; of a range from the end, how much.
        if (req.http.Range ~ "=-0+$" ||
            std.integer(regsub(req.http.Range, "^.*=([0-9]*)-.*$", "\1"), 0) >=
                std.integer(req.http.x-lw-size, 0) ||
            std.integer(regsub(req.http.Range, "^.*-([0-9]*)$", "\1"), 999999999999999) <
                std.integer(regsub(req.http.Range, "^.*=([0-9]*)-.*$", "\1"), 0)) {
            return (synth(416, "this range begins beyond the end: there are " + req.http.x-lw-size + " bytes"));
        }
    }
}

sub vcl_pass {
    set req.http.x-lw-outcome = "pass";
    return (fetch);
}

# Answers of this edge's own: as an origin would give them.
sub vcl_synth {
    unset resp.http.X-Varnish;
    set resp.http.Server = "longwave";
    set resp.http.Access-Control-Allow-Origin = "*";
    if (req.url ~ "^/p/" || req.http.x-lw-token) {
        set resp.http.Referrer-Policy = "no-referrer";
    }
    if (resp.status == 204) {
        set resp.http.Access-Control-Allow-Methods = "GET, HEAD, OPTIONS";
        set resp.http.Access-Control-Allow-Headers = "*";
        set resp.http.Access-Control-Max-Age = "86400";
        set resp.http.Cache-Control = "public, max-age=86400";
        return (deliver);
    }
    set resp.http.Content-Type = "application/json; charset=utf-8";
    set resp.http.Cache-Control = "no-store";
    if (req.url == "/readyz" && resp.status == 200 && req.method != "PURGE") {
        set resp.status = 200;
        set resp.body = """{"status": "ready"}
""";
        return (deliver);
    }
    if (resp.status == 200) {
        set resp.body = {"{"purged": ""} + req.http.Surrogate-Key + """"}
""";
        return (deliver);
    }
    if (resp.status == 400 || resp.status == 404 || resp.status == 503) {
        set resp.http.Cache-Control = "public, max-age=1";
    }
    if (resp.status == 503) {
        set resp.http.Retry-After = "1";
        set resp.reason = "no answer: try again in a moment";
    }
    if (resp.status == 416) {
        set resp.http.Content-Range = "bytes */" + req.http.x-lw-size;
    }
    if (resp.status == 405) {
        set resp.http.Allow = "GET, HEAD, OPTIONS";
    }
    set resp.body = {"{"error": ""} + resp.reason + """"}
""";
    # The usual words again: ours are in the body.
    set resp.status = resp.status;
    set req.http.x-lw-outcome = "error";
    call count;
    return (deliver);
}

# One line for each playlist of a live take, for those who count listeners: without the token, and with the
# directives, which tell how many low-latency listeners there are. Who came with a CDN-Loop is an edge or a CDN, whose
# listeners are counted there if anywhere: without one there is by now our own name alone (recv.vcl).
# varnishncsa -q 'VCL_Log:lw1' -F 'lw1 %{VCL_Log:lw1}x'
sub count {
    if (req.method == "GET" && req.http.CDN-Loop == "longwave-edge" &&
        req.url ~ "^/live/[^?]*/index\.m3u8(\?|$)") {
        if (req.url !~ "^/live/[^/]+/index\.m3u8") {
            if (req.url ~ "[?&]_HLS_msn=") {
                set req.http.x-lw-kind = "blocking_playlist";
            } else {
                set req.http.x-lw-kind = "playlist";
            }
        } else {
            set req.http.x-lw-kind = "multivariant";
        }
        std.log("lw1:" + resp.status + " " + req.http.x-lw-outcome + " " + req.http.x-lw-kind + " " + req.url);
    }
}
