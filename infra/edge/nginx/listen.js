// What nginx's own words cannot say: who is let into a private room, how old an answer is, all lines of a field, and purges.
import crypto from "crypto";
import fs from "fs";
import keys from "rendered/keys.js";

// {kid}.{expiry}.{mac}; a kid may hold dots itself.
const TOKEN = /^([A-Za-z0-9._-]{1,64})\.([1-9][0-9]{0,11})\.([0-9a-f]{64})$/;

// Relative to the edge's directory, where workers are.
const PURGED = "cache/purged";

// Why the token of this request's path does not let it in; "" where it does.
function refusal(request) {
    const variables = request.variables;
    const found = TOKEN.exec(variables.listen_token);
    const key = found && Object.prototype.hasOwnProperty.call(keys, found[1]) ? keys[found[1]] : undefined;
    if (key === undefined) {
        return "this address is not known here: ask whoever invited you for a new one";
    }
    const said = `${found[1]}.${found[2]}.${variables.listen_room}`;
    const mac = crypto.createHmac("sha256", key).update(said).digest("hex");
    if (!equal(mac, found[3])) {
        return "this address is not good for this room";
    }
    if (Date.now() >= Number(found[2]) * 1000) {
        return "this address has expired: ask whoever invited you for a new one";
    }
    return "";
}

// Every character is looked at, so that the time it takes tells nothing of where they differ.
function equal(one, other) {
    let differs = one.length ^ other.length;
    for (let i = 0; i < one.length; i++) {
        differs |= one.charCodeAt(i) ^ other.charCodeAt(i);
    }
    return differs === 0;
}

// Seconds since the origin made this answer (RFC 9111 5.1), which nginx does not tell by itself: its Date, and
// what caches before this one have added.
function age(request) {
    const made = Date.parse(request.variables.upstream_http_date);
    const before = Number(request.variables.upstream_http_age) || 0;
    return isNaN(made) ? String(before) : String(Math.max(0, Math.floor((Date.now() - made) / 1000)) + before);
}

// All that the caches before this one have said of themselves (RFC 8586), in however many lines.
function loops(request) {
    const lines = request.rawHeadersIn.filter((line) => line[0].toLowerCase() === "cdn-loop");
    return lines.map((line) => line[1]).join(", ");
}

// Whoever edits or deletes a take need not wait until what is kept of it is over. nginx cannot find all of that: so a file
// with the take's name holds a word that is part of its cache keys from now on, and is another one each time.
function purge(request) {
    const take = request.headersIn["Surrogate-Key"] || "";
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(take)) {
        request.return(400, '{"error": "name a take: Surrogate-Key"}\n');
        return;
    }
    const word = request.variables.request_id;
    try {
        // In one step: nobody reads half of it.
        fs.writeFileSync(`${PURGED}/.${word}`, word);
        fs.renameSync(`${PURGED}/.${word}`, `${PURGED}/${take}`);
    } catch (error) {
        request.return(503, '{"error": "the purge could not be written down: it has not happened"}\n');
        return;
    }
    request.return(200, `{"purged": "${take}"}\n`);
}

// The word of the last purge of a request's take.
function generation(request) {
    return fs.readFileSync(`${PURGED}/${request.variables.take}`, "utf8");
}

export default {age, generation, loops, purge, refusal};
