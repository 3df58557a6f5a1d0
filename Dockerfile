# Longwave with every role in it. One machine:
#   docker run -p 8080:8080 -e LONGWAVE_TOKEN=… -v longwave:/data --read-only --tmpfs /tmp longwave
# What follows the image's name replaces `serve`: docker run … longwave origin --sister http://other:8080
# Many machines: infra/compose/ and docs/scaling.md.

# ---- hls.js for the pages, from its lock file
FROM node:22.21.1-bookworm-slim AS pages
WORKDIR /build
COPY origin/web/package.json origin/web/package-lock.json origin/web/.npmrc* ./
RUN npm ci --ignore-scripts --no-audit --no-fund

# ---- an environment with the locked packages and Longwave's own wheel
FROM python:3.11.14-slim-bookworm AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/longwave
WORKDIR /build
# The lock changes less often than the code: its layer is kept.
COPY requirements.lock ./
RUN /opt/longwave/bin/pip install --require-hashes -r requirements.lock
COPY . .
COPY --from=pages /build/node_modules origin/web/node_modules
RUN /opt/longwave/bin/pip install --no-deps --no-build-isolation .

# ---- what runs: no compiler, no pip cache, no root; it writes to /data and /tmp alone
FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Longwave" \
      org.opencontainers.image.description="Live audio rooms as HLS and Low-Latency HLS that any CDN can carry" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --system --gid 10001 longwave \
    && useradd --system --uid 10001 --gid 10001 --no-create-home longwave \
    && install -d -o 10001 -g 10001 /data
COPY --from=environment /opt/longwave /opt/longwave
# Outside a container a role on an address that is not loopback refuses to start without LONGWAVE_TOKEN: so does this.
ENV PATH=/opt/longwave/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LONGWAVE_HOST=0.0.0.0 \
    LONGWAVE_PORT=8080 \
    LONGWAVE_DATA_DIR=/data
# By number: a cluster that wants to know that it is not root cannot look a name up.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Roles end by SIGTERM: they hand over what they carry, and leave within 30 s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["longwave"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/healthz' % os.environ['LONGWAVE_PORT'], timeout=2)"]
