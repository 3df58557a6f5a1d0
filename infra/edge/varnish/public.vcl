# What passes: GET, HEAD and OPTIONS of what is public. Metrics, publishing, rooms and speakers are nobody's business
# here.

sub public_table {
    # What stands before this edge, another one or a load balancer, asks whether it is of use: of its origins it says
    # nothing more.
    if (req.url == "/readyz" && (req.method == "GET" || req.method == "HEAD")) {
        if (std.healthy(req.backend_hint)) {
            return (synth(200, "ready"));
        }
        return (synth(503));
    }
    # All public names are made of these characters. Nothing encoded and no dots as a directory: one name for one
    # thing, and no second opinion of an origin on what a path means.
    if (req.url !~ "^/[A-Za-z0-9._/-]*(\?|$)" || req.url ~ "^[^?]*(//|/\.)") {
        return (synth(404, "nothing lives at this address"));
    }
    if (req.url !~ "^/(\?|$|rooms\.json(\?|$)|(live|replay|feeds|listen|speak|assets)/[^?])") {
        return (synth(404, "nothing lives at this address"));
    }
    if (req.method != "GET" && req.method != "HEAD" && req.method != "OPTIONS") {
        return (synth(405, "this resource takes GET, HEAD, OPTIONS"));
    }
    if (!req.http.Host && req.proto == "HTTP/1.1") {
        return (synth(400, "send a Host"));
    }
    if (req.method == "OPTIONS") {
        return (synth(204));
    }
}
