# A node of Snaphook: `docker build -t snaphook .`; packaging/README.md says how it is run.

FROM rust:1.95-slim-bookworm AS build
# clang compiles the JavaScript interpreter to WebAssembly; npm brings the editor of the dashboard, which is a plain text area without.
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang nodejs npm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY guest-sdk guest-sdk
# A member of the workspace, which cargo wants to see; nothing of it is built.
COPY tests tests
RUN cargo build --release --locked --package snaphook

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/snaphook --shell /usr/sbin/nologin snaphook \
    && install -d -m 0700 -o snaphook -g snaphook /var/lib/snaphook
COPY --from=build /src/target/release/snaphook /usr/local/bin/snaphook
COPY LICENSE /usr/share/doc/snaphook/LICENSE
USER snaphook
WORKDIR /var/lib/snaphook
ENV SNAPHOOK_LISTEN=0.0.0.0:7070 SNAPHOOK_DATA_DIR=/var/lib/snaphook SNAPHOOK_URL=http://127.0.0.1:7070
EXPOSE 7070
VOLUME /var/lib/snaphook
# The first start compiles the interpreter.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/snaphook", "health"]
ENTRYPOINT ["/usr/local/bin/snaphook"]
CMD ["serve"]
