# The relay as a container. Mount its configuration and data at /var/lib/smsc-relay; README.md says how.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.txt requirements-test.txt ./
RUN python -m venv /opt/smsc-relay \
 && /opt/smsc-relay/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
# What builds the wheel is locked too; a name that is missing here makes pip stop.
RUN sed -n '/^\(hatchling\|packaging\|pathspec\|pluggy\|tomlkit\|trove-classifiers\)==/,/[^\\]$/p' \
        requirements-test.txt > requirements-build.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY relay/ relay/
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/smsc-relay/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM ${BASE}
RUN groupadd --gid 10001 smsc-relay \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/smsc-relay \
        --shell /usr/sbin/nologin smsc-relay \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/smsc-relay
COPY --from=build /opt/smsc-relay /opt/smsc-relay
ENV PATH=/opt/smsc-relay/bin:$PATH \
    SMSC_RELAY_CONFIG=/var/lib/smsc-relay/config.yaml
USER 10001:10001
WORKDIR /var/lib/smsc-relay
VOLUME ["/var/lib/smsc-relay"]
EXPOSE 2525 8025
# Asks where `web.listen` is by default; give another --health-cmd where it is elsewhere.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["/opt/smsc-relay/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8025/healthz', timeout=4)"]
ENTRYPOINT ["smsc-relay"]
CMD ["serve"]
