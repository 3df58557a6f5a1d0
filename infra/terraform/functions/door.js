// The default behaviour of the distribution: the lobby, and nothing that has no behaviour of its own.

function handler(event) {
    if (event.request.uri === '/') {
        return event.request;
    }
    return {
        statusCode: 404,
        statusDescription: 'Not Found',
        headers: {
            'access-control-allow-origin': { value: '*' },
            'cache-control': { value: 'public, max-age=1' },
            'content-type': { value: 'application/json; charset=utf-8' },
        },
        body: { encoding: 'text', data: '{"error": "nothing lives at this address"}\n' },
    };
}
