# The control plane itself. Linted here, not built: no base image could be pulled where it was written.
FROM python:3.11.11-slim-bookworm AS build
WORKDIR /app
COPY requirements/uv.txt requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements/uv.txt \
    && /venv/bin/uv pip install --python /venv/bin/python --require-hashes --no-cache -r requirements/runtime.txt -r requirements/build.txt
COPY . .
RUN /venv/bin/uv pip install --python /venv/bin/python --no-deps --no-build-isolation --no-cache --editable . \
    && SPROCKET_CACHE_DIR=/opt/sprocket /venv/bin/python -m tools.setup.pulumi --quiet

FROM python:3.11.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/sprocket sprocket
COPY --from=build /venv /venv
COPY --from=build /app /app
COPY --from=build /opt/sprocket /opt/sprocket
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SPROCKET_DATA_DIR=/var/lib/sprocket \
    SPROCKET_CACHE_DIR=/opt/sprocket
WORKDIR /app
USER 10001
VOLUME /var/lib/sprocket
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["sprocket", "serve", "--host", "0.0.0.0"]
