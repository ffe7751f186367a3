# All processes of Hutch in one image; the command chooses one:
#   python -m services.agent alice | services.scheduler | services.scripted | services.cli migrate

# The base image, by name and release of Debian. To build a release, pin it by digest too; the digest
# changes with every rebuild of the base and has to be looked up: --build-arg BASE=python:3.13-slim-trixie@sha256:…
ARG BASE=python:3.13-slim-trixie
FROM ${BASE} AS dependencies
# Only if packages come through a mirror: --build-arg PIP_INDEX_URL=…
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
COPY requirements.lock .
RUN python -m venv --without-pip /opt/hutch \
 && pip --python /opt/hutch/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock

FROM ${BASE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hutch" \
      org.opencontainers.image.description="A home for LLM agents on RabbitMQ" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/hutch/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PIP_PYTHON=/opt/hutch/bin/python \
    HUTCH_AGENTS=/app/agents \
    HUTCH_HEALTH_HOST=0.0.0.0 \
    HUTCH_HEALTH_PORT=9000
RUN useradd --system --uid 10001 --create-home hutch
# Owned by hutch, so that an image built on this one can add packages that a user's tools import.
COPY --from=dependencies --chown=hutch /opt/hutch /opt/hutch
WORKDIR /app
COPY services services
COPY shared shared
# The `if`: 'hutch check' starts processes of its own, and each of them imports this script first.
RUN python -m compileall -q services shared \
 && printf '#!/opt/hutch/bin/python\nfrom services.cli.__main__ import main\nif __name__ == "__main__":\n    main()\n' >/usr/local/bin/hutch \
 && chmod +x /usr/local/bin/hutch
COPY --chown=hutch agents agents
# An image built on this one brings its own agents.
ONBUILD RUN rm -rf /app/agents/*
USER 10001
EXPOSE 9000 8765
# 200 means consuming; otherwise the reply says why not. A bare socket, since every container asks often.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD ["python", "-Ic", "import socket, sys; \
s = socket.create_connection(('127.0.0.1', 9000), 2); s.sendall(b'GET /ready HTTP/1.0\\r\\n\\r\\n'); \
reply = s.makefile().read(); sys.exit(None if ' 200 ' in reply else reply)"]
CMD ["python", "-m", "services.cli", "--help"]
