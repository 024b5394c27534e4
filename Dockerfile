# Builds the action's image from source. Releases will point action.yml at a
# published image by digest, and pin the two images below by digest as well.
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY internal ./internal
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X github.com/oz-bitbucket/oz-bitbucket/internal/action.version=${VERSION}" \
    -o /oz-bitbucket .

# Alpine rather than scratch: runners in Kubernetes mode need sh, env and tail.
FROM alpine:3.22
RUN apk add --no-cache ca-certificates
COPY --from=build /oz-bitbucket /usr/local/bin/oz-bitbucket
# No USER: GitHub gives the workspace and its command files to root.
# Source: https://docs.github.com/actions/reference/dockerfile-support-for-github-actions
ENTRYPOINT ["/usr/local/bin/oz-bitbucket"]
