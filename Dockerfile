# The image of the action and of the pipe, from source, for linux/amd64 and
# linux/arm64. Both bases are pinned by the digest of their multi-platform index.

# The compiler runs on the machine's own platform, whatever platform the image is for. A
# builder without BuildKit has no BUILDPLATFORM; "linux" then means its own.
FROM --platform=${BUILDPLATFORM:-linux} golang:1.26.8-alpine3.24@sha256:8ac98ca534ac3f51e1f420a1dd2c15e74c75cfa0f23f3ad27eb5d7236c349a0c AS build
ARG TARGETARCH
ARG VERSION
WORKDIR /src
# Without a VERSION, the last line of git's log says which commit is checked out. An
# archive has no log: the pattern then matches nothing, and the program knows the commit
# of the archive itself.
COPY go.mod go.sum main.go .gi[t]/logs/HEAD ./
COPY internal ./internal
RUN commit=$(tail -n 1 HEAD 2>/dev/null | cut -d ' ' -f 2); \
    CGO_ENABLED=0 GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/oz-bitbucket/oz-bitbucket/internal/action.version=${VERSION:-${commit:+dev+$commit}}" \
    -o /oz-bitbucket .

# Alpine rather than scratch: runners in Kubernetes mode need sh, env and tail.
# Nothing runs in this stage, so it builds for any platform without emulation,
# and twice to the same digest.
FROM alpine:3.24.2@sha256:294b683cb724975bec92580e1e685676bd4b50bda910ddb8c51d4cabeaec77e6
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /oz-bitbucket /usr/local/bin/
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="oz-bitbucket" \
    org.opencontainers.image.description="Give Warp Oz cloud agents access to a Bitbucket repository" \
    org.opencontainers.image.source="https://github.com/oz-bitbucket/oz-bitbucket" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
# No USER, so root: GitHub gives the workspace and its command files to root.
# Source: https://docs.github.com/actions/reference/dockerfile-support-for-github-actions
ENTRYPOINT ["/usr/local/bin/oz-bitbucket"]
