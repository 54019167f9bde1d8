# The program alone, for a container that writes nothing: it needs no volume and no root.
#
#   docker build -t mirrormesh .
#   docker run --read-only -p 8080:8080 -v "$PWD/mesh.yaml:/etc/mirrormesh/mesh.yaml:ro" mirrormesh
#
# Both stages are of one Debian: the binary is linked against its libc.
ARG RUST_IMAGE=docker.io/library/rust:1.95-trixie
ARG RUNTIME_IMAGE=docker.io/library/debian:trixie-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# make, perl, compilers and objcopy are in the image, as in all of Rust's that are not slim.
RUN make dist

# Debian and not an empty image: the binary needs libc, and whoever looks for a fault a shell.
FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="mirrormesh" \
      org.opencontainers.image.description="Mirrors Apache Kafka clusters in any topology" \
      org.opencontainers.image.licenses="Apache-2.0"
# The symbols stay in the build stage: `--target build` keeps an image that has them, in /src/target/dist.
COPY --from=build /src/target/dist/mirrormesh /usr/local/bin/mirrormesh
# The slim image has no root certificates; librdkafka looks for them here.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# 127.0.0.1, the default, can't be reached from outside of a container.
ENV MIRRORMESH_HTTP__LISTEN=0.0.0.0:8080
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080
# SIGTERM drains, for 20 s at most (`shutdown.timeout`): give it longer than Docker's 10 s, `--stop-timeout 35`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["mirrormesh"]
CMD ["run", "/etc/mirrormesh/mesh.yaml"]
