# One image for every process of the Procfile; docker-compose.yml says which command runs where.
# It holds the locked production packages and our own three packages: no tests, no sandbox, no compiler.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock requirements-production.lock ./
RUN python -m venv /app \
    && /app/bin/pip install --require-hashes --only-binary :all: -r requirements-production.lock
# What builds our own package is locked too: its entry is cut out of the development lock.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements.lock > builder.lock \
    && pip install --require-hashes -r builder.lock
COPY pyproject.toml ./
COPY common ./common
COPY ingest ./ingest
COPY workers ./workers
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && /app/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /app/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
# A number and not a name, so that a cluster can check that it is not root. The folders belong to it, and a
# new volume mounted on one takes over its owner.
RUN groupadd --gid 10001 imports \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin imports \
    && install --directory --owner 10001 --group 10001 /var/lib/imports/blobs /spool
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    SPOOL_DIR=/spool \
    BLOBS_URL=file:///var/lib/imports/blobs
WORKDIR /app
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "ingest.main"]
