// Asks the code that CDNs run for private rooms, each with stand-ins for what its own runtime brings.
//
//     node cdn_code.mjs ROOT < {"keys": {kid: key}, "requests": [[path, query], …]}  ->  [[status or 0, query], …] by CDN
//
// Status 0: the request goes on, with `query`.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(import.meta.url);
const root = process.argv[2];
const { keys, requests } = JSON.parse(readFileSync(0, 'utf8'));
const source = (name) => readFileSync(`${root}/${name}`, 'utf8').replace(/^import .*$/gm, '');

function cloudfront() {
    const kvs = { get: async (kid) => (Object.hasOwn(keys, kid) ? keys[kid] : Promise.reject(new Error('no such key'))) };
    const code = `${source('infra/terraform/functions/listen.js')}; return handler;`;
    const handler = new Function('cf', 'require', code)({ kvs: () => kvs }, require);
    return async (path, query) => {
        const querystring = {};
        for (const [name, value] of new URLSearchParams(query)) {
            const before = querystring[name];
            const values = [...(before ? before.multiValue || [{ value: before.value }] : []), { value }];
            querystring[name] = values.length > 1 ? { value, multiValue: values } : { value };
        }
        const answer = await handler({ request: { method: 'GET', uri: path, querystring, headers: {} } });
        if (answer.statusCode) {
            return [answer.statusCode, ''];
        }
        const sent = Object.entries(answer.querystring).flatMap(
            ([name, one]) => (one.multiValue || [one]).map(({ value }) => `${name}=${value}`),
        );
        return [answer.uri === path ? 0 : 599, sent.join('&')];
    };
}

function cloudflare() {
    let asked;
    const fetched = async (request, options) => {
        asked = [new URL(request.url), options.cf.cacheKey];
        return new Response('');
    };
    const code = source('infra/cdn/cloudflare.js').replace('export default', 'const worker =');
    const worker = new Function('fetch', `${code}; return worker;`)(fetched);
    return async (path, query) => {
        const request = new Request(`https://live.example${path}${query && `?${query}`}`);
        const answer = await worker.fetch(request, { LISTEN_KEYS: JSON.stringify(keys), STRIP: 'yes' });
        if (answer.status !== 200) {
            return [answer.status, ''];
        }
        const [address, key] = asked;
        const stripped = path.replace(/^\/p\/[^/]+/, '');
        const good = address.pathname === path && key === `https://live.example/private${stripped}${address.search}`;
        return [good ? 0 : 599, address.search.slice(1)];
    };
}

function akamai() {
    const code = source('infra/cdn/akamai.js').replace(/^export /gm, '');
    const worker = new Function('crypto', 'TextEncoder', `${code}; return onClientRequest;`)(crypto, TextEncoder);
    const variable = Object.entries(keys).map(([kid, key]) => `${kid}=${key}`).join(',');
    return async (path, query) => {
        let status = 0;
        await worker({ path, query, getVariable: () => variable, respondWith: (given) => { status = given; } });
        return [status, query];
    };
}

const answers = {};
for (const [name, make] of Object.entries({ cloudfront, cloudflare, akamai })) {
    const ask = make();
    answers[name] = [];
    for (const [path, query] of requests) {
        answers[name].push(await ask(path, query));
    }
}
process.stdout.write(JSON.stringify(answers));
