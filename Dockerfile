# One image, three roles: HAProxy and the sidecar together (as marathon-lb), or either alone.
# docs/image.md says how it is built and run.
#
#   SUITE            Debian's suite, which brings HAProxy, Python and tini
#   HAPROXY_PACKAGE  that package, also with a version: haproxy=3.0.*
#   VERSION, REVISION  for the labels
#
# Secrets, none of which gets into the image: `ca`, one more CA certificate for the build, and
# `pip`, a pip.conf that names another package index.
ARG SUITE=trixie

FROM debian:${SUITE}-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/mlb
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY haproxy haproxy
COPY lua lua
COPY sidecar sidecar
RUN --mount=type=secret,id=ca,target=/usr/local/share/ca-certificates/build.crt \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    update-ca-certificates >/dev/null \
 && export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 \
 && /opt/mlb/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheel . \
 && /opt/mlb/bin/pip install --no-cache-dir --constraint requirements.lock "$(ls /wheel/*.whl)[tracing]" \
 && /opt/mlb/bin/pip uninstall -y pip

FROM debian:${SUITE}-slim
ARG HAPROXY_PACKAGE=haproxy
# A file's capability lets an ordinary user bind ports below 1024, in the host's network too. Where a
# container is denied it, that file cannot be started at all: the copy is for a sidecar that only has
# configurations checked.
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates curl "${HAPROXY_PACKAGE}" libcap2-bin python3 socat tini \
 && cp /usr/sbin/haproxy /usr/local/lib/haproxy-to-check \
 && setcap cap_net_bind_service=+ep /usr/sbin/haproxy \
 && apt-get purge -y --auto-remove libcap2-bin \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 900 --user-group --no-create-home --home-dir /marathon-lb \
      --shell /usr/sbin/nologin marathon-lb \
# Whatever user a container is given may put its files there; others' files it cannot replace.
 && install -d -m 1777 /marathon-lb /run/haproxy \
 && chmod 1777 /etc/ssl
COPY --from=build /opt/mlb /opt/mlb
COPY --chmod=755 image/entry.sh /usr/local/bin/mlb-entry
COPY --chmod=755 image/healthy.sh /usr/local/bin/mlb-healthy
COPY --chmod=755 haproxy/start-beside.sh /usr/local/bin/start-beside.sh
# marathon-lb's own entry point, for those who name it.
RUN ln -s /usr/local/bin/mlb-entry /marathon-lb/run

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="marathon-lb-sidecar" \
      org.opencontainers.image.description="Load balancing for Marathon on HAProxy, without reloads" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# `docker stop` kills after ten seconds: open streams have five, unless somebody says otherwise.
# Prometheus asks for the sidecar's pages from outside of the container.
ENV PATH=/opt/mlb/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    MLB_STOP_GRACE=5 \
    MLB_WEB_BIND=*
USER 900:900
WORKDIR /marathon-lb
EXPOSE 80 443 9090 9091 9099
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["mlb-healthy"]
# It has tini before it.
ENTRYPOINT ["mlb-entry"]
CMD ["sse", "--health-check", "--group", "external"]
