# PURGE / with `Surrogate-Key: TAKE`: whoever edits, hides or deletes a replay need not wait for its minute to pass.
# Everything of a take is tagged with its id. `purgers`, above, are addresses that were given; by default this machine.

sub purge {
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) {
            return (synth(405, "this resource takes GET, HEAD, OPTIONS"));
        }
        # Two lines of it are no take, and not the first of them.
        std.collect(req.http.Surrogate-Key);
        if (req.http.Surrogate-Key !~ "^[A-Za-z0-9_-]{1,64}$") {
            return (synth(400, "name a take: Surrogate-Key"));
        }
        # About objects only, so that it is tidied away in the background (ban lurker).
        if (std.ban("obj.http.Surrogate-Key == " + req.http.Surrogate-Key)) {
            return (synth(200));
        }
        return (synth(503));
    }
}
