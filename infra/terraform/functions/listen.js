// Before the cache: who may listen to a private room, and one order for the delivery directives.
//
//     /p/{kid}.{expiry}.{mac}/live/{room}/…
//
// The mac is the hex of HMAC-SHA256 over `{kid}.{expiry}.{room}`; the key is text, 64 hex digits, and lies in the key
// value store under its kid. The path stays as it is, with the token: the origin checks it again. All listeners share
// tokens that expire in the same minute, so that the cache holds a room at most once for each minute of a token's life.
//
// The runtime (cloudfront-js-2.0) is ECMAScript 5.1 and parts of later ones: no `for … of`, no destructuring, no spread,
// and `await` only where it is a statement's whole right side.

import cf from 'cloudfront';

const crypto = require('crypto');
const keys = cf.kvs();

// A kid may contain dots: the mac and the expiry have none.
const SIGNED = /^\/p\/([A-Za-z0-9._-]{1,64})\.([1-9][0-9]{0,11})\.([0-9a-f]{64})\/(.+)$/;
const ROOM = /^(?:(?:live|replay)\/([A-Za-z0-9_-]{1,64})\/.+|listen\/([A-Za-z0-9_-]{1,64})(?:\.json)?|feeds\/([A-Za-z0-9_-]{1,64})\.xml)$/;
const DIRECTIVES = ['_HLS_msn', '_HLS_part', '_HLS_skip'];

async function handler(event) {
    const request = event.request;
    if (request.uri.startsWith('/p/')) {
        const wrong = await whatIsWrong(request.uri, Date.now() / 1000);
        if (wrong) {
            return refusal(wrong);
        }
    }
    request.querystring = ordered(request.querystring);
    return request;
}

// Why a path does not let in; empty where it does.
async function whatIsWrong(path, now) {
    const unknown = 'this address is not known here: ask whoever invited you for a new one';
    const signed = SIGNED.exec(path);
    const place = signed && ROOM.exec(signed[4]);
    if (!place) {
        return unknown;
    }
    const key = await keyOf(signed[1]);
    if (!key) {
        return unknown;
    }
    const room = place[1] || place[2] || place[3];
    const mac = crypto.createHmac('sha256', key).update(`${signed[1]}.${signed[2]}.${room}`).digest('hex');
    if (!same(mac, signed[3])) {
        return 'this address is not good for this room';
    }
    return now < Number(signed[2]) ? '' : 'this address has expired: ask whoever invited you for a new one';
}

async function keyOf(kid) {
    try {
        const key = await keys.get(kid);
        return key;
    } catch (error) {
        return '';  // get() throws for what is not there
    }
}

// Compares all digits, whichever differs.
function same(one, other) {
    let difference = one.length ^ other.length;
    for (let i = 0; i < one.length; i++) {
        difference |= one.charCodeAt(i) ^ other.charCodeAt(i);
    }
    return difference === 0;
}

// A directive that comes twice stays so, for the origin to refuse.
function ordered(query) {
    const kept = {};
    for (let i = 0; i < DIRECTIVES.length; i++) {
        const name = DIRECTIVES[i];
        if (query[name]) {
            kept[name] = query[name];
        }
    }
    return kept;
}

function refusal(reason) {
    return {
        statusCode: 403,
        statusDescription: 'Forbidden',
        headers: {
            'access-control-allow-origin': { value: '*' },
            'cache-control': { value: 'no-store' },
            'content-type': { value: 'application/json; charset=utf-8' },
            'referrer-policy': { value: 'no-referrer' },
        },
        body: { encoding: 'text', data: `{"error": "${reason}"}\n` },
    };
}
