# The server in a container.  docs/containers.md: how to build it, how to run it, why each option.
#   make image
# BASE is any image of Debian 12; where no registry can be reached, deploy/image makes one by debootstrap.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
# Only for this stage: where packages come from, and the authorities that vouch for it.
ARG PIP_INDEX_URL
ARG PIP_CERT
ARG SSL_CERT_FILE
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates libodbc2 python3 python3-venv
WORKDIR /src
# Where cellblock will live: an environment cannot be moved.
RUN python3 -m venv /opt/cellblock
ENV PATH=/opt/cellblock/bin:$PATH UV_HTTP_TIMEOUT=120 UV_LINK_MODE=copy
COPY deploy/locks deploy/locks
COPY supervisor/runtimes/locks supervisor/runtimes/locks
RUN if [ -n "$PIP_INDEX_URL" ]; then export UV_DEFAULT_INDEX="$PIP_INDEX_URL"; fi \
 && python -m pip install --no-cache-dir --quiet --require-hashes --no-deps -r deploy/locks/uv.txt \
 && uv pip install --no-cache --python /opt/cellblock/bin/python --compile-bytecode --no-deps \
      --build-constraints supervisor/runtimes/locks/build.txt --require-hashes -r deploy/locks/server.txt
COPY . .
# The functions' libraries are a layer of their own: they are most of the image, and change least.
RUN if [ -n "$PIP_INDEX_URL" ]; then export UV_DEFAULT_INDEX="$PIP_INDEX_URL"; fi \
 && uv pip install --no-cache --quiet --python /opt/cellblock/bin/python --compile-bytecode --no-deps \
      --build-constraints supervisor/runtimes/locks/build.txt . \
 && cellblock runtimes install python3.11 \
 && uv pip uninstall --quiet --python /opt/cellblock/bin/python pip setuptools

FROM ${BASE}
# libodbc2: pyodbc, of the functions' libraries, loads it.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates libodbc2 python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
COPY --from=build /opt/cellblock /opt/cellblock
COPY seccomp/container.json /usr/share/cellblock/container.json
# In the environment, so that `cellblock check` judges the same server.
ENV PATH=/opt/cellblock/bin:$PATH CELLBLOCK_BIND=0.0.0.0:8080
VOLUME /var/lib/cellblock
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["cellblock", "serve"]
