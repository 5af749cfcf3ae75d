# The server in a container.  As it stands it needs more than a plain container has, because cells are
# made of namespaces and mounts:
#   docker build -t cellblock .
#   docker run --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
#     --security-opt systempaths=unconfined -p 8080:8080 -v cellblock:/var/lib/cellblock cellblock
# The last --security-opt: with Docker's covered /proc the kernel refuses a cell its own.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# Where cellblock will live: an environment cannot be moved.
RUN python -m venv /opt/cellblock
ENV PATH=/opt/cellblock/bin:$PATH UV_HTTP_TIMEOUT=120 UV_LINK_MODE=copy
COPY deploy/locks deploy/locks
COPY supervisor/runtimes/locks supervisor/runtimes/locks
RUN python -m pip install --no-cache-dir --quiet --require-hashes --no-deps -r deploy/locks/uv.txt \
 && uv pip install --no-cache --python /opt/cellblock/bin/python --compile-bytecode --no-deps \
      --build-constraints supervisor/runtimes/locks/build.txt --require-hashes -r deploy/locks/server.txt
COPY . .
RUN uv pip install --no-cache --quiet --python /opt/cellblock/bin/python --compile-bytecode --no-deps \
      --build-constraints supervisor/runtimes/locks/build.txt . \
 && cellblock runtimes install python3.11

FROM python:3.11-slim-bookworm
# libodbc2: pyodbc, of the functions' libraries, loads it.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libodbc2 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/cellblock /opt/cellblock
ENV PATH=/opt/cellblock/bin:$PATH
VOLUME /var/lib/cellblock
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["cellblock", "serve", "--bind", "0.0.0.0:8080"]
