# Longwave behind Fastly: custom VCL, to be uploaded as the service's main file (docs/cdn.md, which says what was run of it).
#
# Beside it: backends, each with a health check of /readyz, `first_byte_timeout` 15 s (the default), `connect_timeout` 2 s, and a
# shield near to them; a private dictionary `listen_keys` with what `longwave token --edge-keys` prints: a kid, and its key; and
# one more, `log_secret`, empty where nobody counts: `secret`, and what LONGWAVE_LOG_SECRET is.

sub vcl_recv {
#FASTLY recv

  declare local var.kid STRING;
  declare local var.expires STRING;
  declare local var.mac STRING;
  declare local var.room STRING;
  declare local var.path STRING;

  # A restart begins with what came in, and the token is checked again. Never from outside; a shield makes its own.
  if (req.restarts > 0 && req.http.Lw-Signed) {
    set req.url = req.http.Lw-Signed;
  }
  unset req.http.Lw-Signed;

  # Fastly's own purge of one address comes here as a method, FASTLYPURGE. It is refused with the rest: anybody could send
  # it. Purge by surrogate key.
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
    if (req.url ~ "^/p/([A-Za-z0-9._-]{1,64})\.([1-9][0-9]{0,11})\.([0-9a-f]{64})(/(?:live|replay|listen|feeds)/([A-Za-z0-9_-]{1,64})(?:/[^?]+|\.json|\.xml)?(?:\?.*)?)$") {
      set var.kid = re.group.1;
      set var.expires = re.group.2;
      set var.mac = re.group.3;
      set var.path = re.group.4;
      set var.room = re.group.5;
    } else {
      error 603 "this address is not known here: ask whoever invited you for a new one";
    }
    # Without this test a kid that is not there would be checked with an empty key, which anybody has.
    if (!table.contains(listen_keys, var.kid)) {
      error 603 "this address is not known here: ask whoever invited you for a new one";
    }
    if (!digest.secure_is_equal("0x" + var.mac,
        digest.hmac_sha256(table.lookup(listen_keys, var.kid), var.kid + "." + var.expires + "." + var.room))) {
      error 603 "this address is not good for this room";
    }
    if (time.is_after(now, std.integer2time(std.atoi(var.expires)))) {
      error 603 "this address has expired: ask whoever invited you for a new one";
    }
    # The cache knows the room by its path alone, with a mark (vcl_hash); the origin gets the token back (to_origin).
    set req.http.Lw-Signed = req.url;
    set req.url = var.path;
  } elsif (req.url.path !~ "^/(?:$|rooms\.json$|(?:live|replay|feeds|listen|speak|assets)/)") {
    error 604;
  }

  # Above 20 MB Fastly refuses what it keeps whole: forty minutes of a replay in one file.
  if (req.url.path ~ "^/replay/.+\.m4a$") {
    set req.enable_segmented_caching = true;
  }
  if (req.http.Authorization || req.method == "OPTIONS") {
    return(pass);
  }
  return(lookup);
}

sub vcl_hash {
  set req.hash += req.url;
  set req.hash += req.http.host;
  # What a token let in is found by nobody without one.
  if (req.http.Lw-Signed) {
    set req.hash += "private";
  }
#FASTLY hash
  return(hash);
}

sub vcl_hit {
#FASTLY hit
  return(deliver);
}

sub vcl_miss {
#FASTLY miss
  call to_origin;
  return(fetch);
}

sub vcl_pass {
#FASTLY pass
  call to_origin;
  return(pass);
}

# @scope: miss, pass
sub to_origin {
  if (req.http.Lw-Signed) {
    set bereq.url = req.http.Lw-Signed;
  }
  unset bereq.http.Lw-Signed;
}

# Fastly's own file asks once more after a 500 or a 503 (which may have taken 6 s), and keeps what names no max-age for an
# hour: this one does neither.
sub vcl_fetch {
#FASTLY fetch
  # Fastly does not heed these by itself. A pass is remembered, for minutes and under the room's path, which all tokens share:
  # meanwhile each listener would be a request to the origin. So a refusal goes to whom it is for, and nothing is remembered.
  if (beresp.http.Cache-Control ~ "no-store|private") {
    if (beresp.status >= 400) {
      set beresp.cacheable = false;
      return(deliver);
    }
    return(pass);
  }
  # Fastly keeps 200, 203, 300, 301, 302, 404 and 410. Another error is given to one of those who wait, and the next of
  # them asks again, one after the other: a crowd behind a 503 would be served one by one.
  if (beresp.status == 400 || beresp.status == 404 || beresp.status == 500 || beresp.status == 503) {
    set beresp.cacheable = true;
    set beresp.ttl = 1s;
  }
  # Pages: browsers ask each time (no-cache); here they stay for as long as CDN-Cache-Control says, which Fastly does not
  # read.
  if (beresp.http.CDN-Cache-Control == "max-age=10") {
    set beresp.cacheable = true;
    set beresp.ttl = 10s;
  }
  # A playlist or an error that is over is worse than waiting for the next.
  set beresp.stale_while_revalidate = 0s;
  set beresp.stale_if_error = 0s;
  # Whoever waits gets the bytes as they come.
  set beresp.do_stream = true;
  return(deliver);
}

sub vcl_deliver {
#FASTLY deliver
  # A shield passes it on to where listeners are.
  if (fastly.ff.visits_this_service == 0) {
    unset resp.http.CDN-Cache-Control;
  }
  if (req.http.Lw-Signed) {
    set resp.http.Referrer-Policy = "no-referrer";
  }
  return(deliver);
}

sub vcl_error {
#FASTLY error
  if (obj.status == 603 || obj.status == 604 || obj.status == 605) {
    set obj.http.Access-Control-Allow-Origin = "*";
    set obj.http.Content-Type = "application/json; charset=utf-8";
    set obj.http.Cache-Control = if(obj.status == 604, "public, max-age=1", "no-store");
  }
  if (obj.status == 603) {
    set obj.http.Referrer-Policy = "no-referrer";
    synthetic {J"{"error": ""J} + obj.response + {J""}
"J};
    set obj.status = 403;
    set obj.response = "Forbidden";
  } elsif (obj.status == 604) {
    synthetic {J"{"error": "nothing lives at this address"}
"J};
    set obj.status = 404;
    set obj.response = "Not Found";
  } elsif (obj.status == 605) {
    synthetic {J"{"error": "this resource takes GET, HEAD, OPTIONS"}
"J};
    set obj.http.Allow = "GET, HEAD, OPTIONS";
    set obj.status = 405;
    set obj.response = "Method Not Allowed";
  }
  return(deliver);
}

sub vcl_log {
#FASTLY log
  declare local var.kind STRING;
  declare local var.outcome STRING;

  # What `longwave edge --log syslog://…` counts listeners by, of answers to them and not to other places of Fastly. Never with
  # a token: who was let in has left it behind, and nothing else begins with /live/.
  if (table.contains(log_secret, "secret") && fastly.ff.visits_this_service == 0
      && req.url.path ~ "^/live/[^/]+/(?:[^/]+/[^/]+/)?index\.m3u8$") {
    set var.kind = if(req.url ~ "[?&]_HLS_msn=", "blocking_playlist", "playlist");
    if (req.url.path ~ "^/live/[^/]+/index\.m3u8$") {
      set var.kind = "multivariant";
    }
    set var.outcome = if(fastly_info.state ~ "^HIT", "hit", "miss");
    if (fastly_info.state ~ "PASS") {
      set var.outcome = "pass";
    } elsif (fastly_info.state ~ "^ERROR") {
      set var.outcome = "error";
    }
    log "syslog " + req.service_id + " longwave :: " + table.lookup(log_secret, "secret") + " lw1 " + resp.status + " "
      + var.outcome + " " + var.kind + " " + req.url;
  }
}
