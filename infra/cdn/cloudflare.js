// Longwave behind Cloudflare: a Worker on the route `live.example.net/p/*` that lets listeners into private rooms
// (docs/cdn.md). All else is cache rules.
//
// Secrets: LISTEN_KEYS, a JSON object of what `longwave token --edge-keys` prints: {"kid": "64 hex digits"}.
// Variables: STRIP, "yes" where the plan has custom cache keys (Enterprise): the cache then knows a room by its path
// without the token. Otherwise it holds the room once for each token, of which there is one a minute at most.

// A kid may contain dots: the mac and the expiry have none.
const SIGNED = /^\/p\/([A-Za-z0-9._-]{1,64})\.([1-9][0-9]{0,11})\.([0-9a-f]{64})(\/.+)$/;
const ROOM = /^\/(?:(?:live|replay)\/([A-Za-z0-9_-]{1,64})\/.+|listen\/([A-Za-z0-9_-]{1,64})(?:\.json)?|feeds\/([A-Za-z0-9_-]{1,64})\.xml)$/;
const DIRECTIVES = ['_HLS_msn', '_HLS_part', '_HLS_skip'];

export default {
    async fetch(request, env) {
        const address = new URL(request.url);
        const signed = SIGNED.exec(address.pathname);
        const wrong = await whatIsWrong(signed, JSON.parse(env.LISTEN_KEYS), Date.now() / 1000);
        if (wrong) {
            return refusal(wrong);
        }
        address.search = ordered(address.searchParams);
        const cf = { cacheEverything: true };
        if (env.STRIP === 'yes') {
            cf.cacheKey = `${address.origin}/private${signed[4]}${address.search}`;
        }
        const answer = await fetch(new Request(address, request), { cf });
        const open = new Response(answer.body, answer);
        open.headers.set('Referrer-Policy', 'no-referrer');
        return open;
    },
};

// Why a path does not let in; empty where it does.
async function whatIsWrong(signed, keys, now) {
    const place = signed && ROOM.exec(signed[4]);
    if (!place || !Object.hasOwn(keys, signed[1])) {
        return 'this address is not known here: ask whoever invited you for a new one';
    }
    const room = place[1] || place[2] || place[3];
    const text = new TextEncoder();
    const key = await crypto.subtle.importKey(
        'raw', text.encode(keys[signed[1]]), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'],
    );
    const mac = Uint8Array.from(signed[3].match(/../g), (pair) => Number.parseInt(pair, 16));
    const about = text.encode(`${signed[1]}.${signed[2]}.${room}`);
    if (!(await crypto.subtle.verify('HMAC', key, mac, about))) {
        return 'this address is not good for this room';
    }
    return now < Number(signed[2]) ? '' : 'this address has expired: ask whoever invited you for a new one';
}

// The directives in one order and nothing else. One that comes twice stays so, for the origin to refuse.
function ordered(query) {
    const kept = DIRECTIVES.flatMap((name) => query.getAll(name).map((value) => [name, value]));
    return new URLSearchParams(kept).toString();
}

function refusal(reason) {
    return new Response(`{"error": "${reason}"}\n`, {
        status: 403,
        headers: {
            'Access-Control-Allow-Origin': '*',
            'Cache-Control': 'no-store',
            'Content-Type': 'application/json; charset=utf-8',
            'Referrer-Policy': 'no-referrer',
        },
    });
}
