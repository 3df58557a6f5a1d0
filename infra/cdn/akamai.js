// Longwave behind Akamai: an EdgeWorker (main.js) for the match "path is one of /p/*" that lets listeners into private
// rooms (docs/cdn.md). Written from Akamai's reference; not run there.
//
// The property's variable PMUSER_LISTEN_KEYS, hidden, holds what `longwave token --edge-keys` prints, as
// "kid=key,kid=key"; all variables of a property together are 1,024 characters. The path stays as it is, with the token,
// which the origin checks again: the cache holds a room once for each token, of which there is one a minute at most.

import { crypto } from 'crypto';
import { TextEncoder } from 'encoding';

// A kid may contain dots: the mac and the expiry have none.
const SIGNED = /^\/p\/([A-Za-z0-9._-]{1,64})\.([1-9][0-9]{0,11})\.([0-9a-f]{64})(\/.+)$/;
const ROOM = /^\/(?:(?:live|replay)\/([A-Za-z0-9_-]{1,64})\/.+|listen\/([A-Za-z0-9_-]{1,64})(?:\.json)?|feeds\/([A-Za-z0-9_-]{1,64})\.xml)$/;

export async function onClientRequest(request) {
    const wrong = await whatIsWrong(request.path, request.getVariable('PMUSER_LISTEN_KEYS') || '', Date.now() / 1000);
    if (wrong) {
        const headers = {
            'Access-Control-Allow-Origin': ['*'],
            'Cache-Control': ['no-store'],
            'Content-Type': ['application/json; charset=utf-8'],
            'Referrer-Policy': ['no-referrer'],
        };
        request.respondWith(403, headers, `{"error": "${wrong}"}\n`);
    }
}

export function onClientResponse(request, response) {
    response.setHeader('Referrer-Policy', 'no-referrer');
}

// Why a path does not let in; empty where it does.
async function whatIsWrong(path, keys, now) {
    const signed = SIGNED.exec(path);
    const place = signed && ROOM.exec(signed[4]);
    const line = place ? keys.split(',').find((each) => each.startsWith(`${signed[1]}=`)) : undefined;
    if (!line) {
        return 'this address is not known here: ask whoever invited you for a new one';
    }
    const room = place[1] || place[2] || place[3];
    const text = new TextEncoder();
    const key = await crypto.subtle.importKey(
        'raw', text.encode(line.slice(signed[1].length + 1)), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'],
    );
    const mac = Uint8Array.from(signed[3].match(/../g), (pair) => Number.parseInt(pair, 16));
    const about = text.encode(`${signed[1]}.${signed[2]}.${room}`);
    if (!(await crypto.subtle.verify('HMAC', key, mac, about))) {
        return 'this address is not good for this room';
    }
    return now < Number(signed[2]) ? '' : 'this address has expired: ask whoever invited you for a new one';
}
