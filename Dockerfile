# syntax=docker/dockerfile:1
# Longwave with every role in it: docker run -p 8080:8080 -e LONGWAVE_TOKEN=… -v longwave:/data longwave
# The command line after the image's name replaces `serve …`: docker run longwave origin --help

# ---- hls.js for the pages, from its lock file
FROM node:22-slim AS pages
WORKDIR /build
COPY origin/web/package.json origin/web/package-lock.json origin/web/.npmrc* ./
RUN npm ci --ignore-scripts --no-audit --no-fund

# ---- an environment with the locked packages and Longwave's own wheel
FROM python:3.11-slim AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/longwave
WORKDIR /build
# The lock changes less often than the code: its layer is kept.
COPY requirements.lock ./
RUN /opt/longwave/bin/pip install --require-hashes -r requirements.lock
COPY . .
COPY --from=pages /build/node_modules origin/web/node_modules
RUN /opt/longwave/bin/pip install --no-deps --no-build-isolation .

# ---- what runs: no compiler, no pip cache, no root
FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home longwave \
    && install -d -o longwave -g longwave /data
COPY --from=environment /opt/longwave /opt/longwave
ENV PATH=/opt/longwave/bin:$PATH PYTHONUNBUFFERED=1
USER longwave
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Outside a container a role on an address that is not loopback refuses to start without LONGWAVE_TOKEN: so does this.
ENTRYPOINT ["longwave"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--data-dir", "/data"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
