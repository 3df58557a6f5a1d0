# Longwave behind Fastly: VCL snippets, one for each subroutine (docs/cdn.md). Written from Fastly's reference; not run there.
#
# Backends, each with a health check of /readyz; `first_byte_timeout` 15 s (the default), `connect_timeout` 2 s; a shield near to
# them. A private dictionary `listen_keys` with what `longwave token --edge-keys` prints: a kid, and its key.

# ---- snippet of type "recv"
declare local var.kid STRING;
declare local var.expires STRING;
declare local var.mac STRING;
declare local var.room STRING;
declare local var.path STRING;

# Never from outside. After a restart, and on a shield, it is made anew.
unset req.http.Lw-Signed;

if (req.method != "GET" && req.method != "HEAD" && req.method != "OPTIONS") {
  error 605;
}
unset req.http.Cookie;
# Hosts see replays that are not published; what they see is nobody else's.
if (req.http.Authorization && req.url.path !~ "^(?:/p/[^/]+)?/replay/") {
  unset req.http.Authorization;
}

# One order, and nothing but the delivery directives. One that comes twice stays so, for the origin to refuse.
set req.url = querystring.filter_except(req.url,
  "_HLS_msn" + querystring.filtersep() + "_HLS_part" + querystring.filtersep() + "_HLS_skip");
set req.url = querystring.sort(req.url);

if (req.url.path ~ "^/p/") {
  # A kid may contain dots: the mac and the expiry have none.
  if (req.url ~ "^/p/([A-Za-z0-9._-]{1,64})\.([1-9][0-9]{0,11})\.([0-9a-f]{64})(/(?:(?:live|replay)/([A-Za-z0-9_-]{1,64})/.+|listen/([A-Za-z0-9_-]{1,64})(?:\.json)?(?:\?.*)?|feeds/([A-Za-z0-9_-]{1,64})\.xml(?:\?.*)?))$") {
    set var.kid = re.group.1;
    set var.expires = re.group.2;
    set var.mac = re.group.3;
    set var.path = re.group.4;
    set var.room = re.group.5 re.group.6 re.group.7;
  }
  # Without this test a kid that is not there would be checked with an empty key, which anybody has.
  if (var.kid == "" || !table.contains(listen_keys, var.kid)) {
    error 603 "this address is not known here: ask whoever invited you for a new one";
  }
  if (!digest.secure_is_equal("0x" var.mac,
      digest.hmac_sha256(table.lookup(listen_keys, var.kid), var.kid "." var.expires "." var.room))) {
    error 603 "this address is not good for this room";
  }
  if (time.is_after(now, std.integer2time(std.atoi(var.expires)))) {
    error 603 "this address has expired: ask whoever invited you for a new one";
  }
  # The cache knows the room by its path alone, with a mark (see "hash"); the origin gets the token back (see "miss").
  set req.http.Lw-Signed = req.url;
  set req.url = var.path;
} elsif (req.url.path !~ "^/(?:$|rooms\.json$|(?:live|replay|feeds|listen|speak|assets)/)") {
  error 604;
}

if (req.http.Authorization) {
  return(pass);
}

# ---- snippet of type "hash"
# What a token let in is found by nobody without one.
if (req.http.Lw-Signed) {
  set req.hash += "private";
}

# ---- snippet of type "miss", and the same again of type "pass"
if (req.http.Lw-Signed) {
  set bereq.url = req.http.Lw-Signed;
}
unset bereq.http.Lw-Signed;

# ---- snippet of type "fetch"
# Fastly heeds "private" by itself, and "no-store" only where it is told to.
if (beresp.http.Cache-Control ~ "no-store|private") {
  return(pass);
}
# Fastly keeps 200, 203, 300, 301, 302, 404 and 410. Another error is given to one of those who wait, and the next of them
# asks again, one after the other: a crowd behind a 503 would be served one by one.
if (beresp.status == 400 || beresp.status == 404 || beresp.status == 500 || beresp.status == 503) {
  set beresp.cacheable = true;
  set beresp.ttl = 1s;
}
# A playlist or an error that is over is worse than waiting for the next.
set beresp.stale_while_revalidate = 0s;
set beresp.stale_if_error = 0s;
# Whoever waits gets the bytes as they come.
set beresp.do_stream = true;
# Pages: browsers ask each time (no-cache); here they stay for as long as CDN-Cache-Control says, which Fastly does not read.
if (beresp.http.CDN-Cache-Control == "max-age=10") {
  set beresp.cacheable = true;
  set beresp.ttl = 10s;
}

# ---- snippet of type "deliver"
unset resp.http.CDN-Cache-Control;
if (req.http.Lw-Signed) {
  set resp.http.Referrer-Policy = "no-referrer";
}

# ---- snippet of type "error"
if (obj.status == 603 || obj.status == 604 || obj.status == 605) {
  set obj.http.Access-Control-Allow-Origin = "*";
  set obj.http.Content-Type = "application/json; charset=utf-8";
  set obj.http.Cache-Control = if (obj.status == 604, "public, max-age=1", "no-store");
  if (obj.status == 603) {
    set obj.http.Referrer-Policy = "no-referrer";
    synthetic {"{"error": ""} obj.response {""}
"};
    set obj.status = 403;
    set obj.response = "Forbidden";
  } elsif (obj.status == 604) {
    synthetic {"{"error": "nothing lives at this address"}
"};
    set obj.status = 404;
    set obj.response = "Not Found";
  } else {
    synthetic {"{"error": "this resource takes GET, HEAD, OPTIONS"}
"};
    set obj.http.Allow = "GET, HEAD, OPTIONS";
    set obj.status = 405;
    set obj.response = "Method Not Allowed";
  }
  return(deliver);
}
