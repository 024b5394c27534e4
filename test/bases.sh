#!/bin/sh
# Assembles replacements for the Dockerfile's two base images from this machine's
# own files, so that no registry is needed. Run by the container tests:
#
#	sh test/bases.sh DIRECTORY
#
#	DIRECTORY/run    BusyBox and the CA certificates
#	DIRECTORY/build  the same with Go, the program's modules, and Go's build cache
set -eu
directory=$1
run=$directory/run build=$directory/build

mkdir -p "$run/bin" "$run/usr/bin" "$run/usr/local/bin" "$run/etc/ssl/certs" "$run/root" "$run/tmp"
cp "$(command -v busybox)" "$run/bin/busybox"
for applet in $(busybox --list); do
	[ -e "$run/bin/$applet" ] || ln -s busybox "$run/bin/$applet"
done
cp /etc/ssl/certs/ca-certificates.crt "$run/etc/ssl/certs/"

cp -a "$run" "$build"
mkdir "$build/usr/local/go"
for part in VERSION bin lib pkg src; do
	cp -a "$(go env GOROOT)/$part" "$build/usr/local/go/"
done
rm -r "$build/usr/local/go/src/cmd" # of which the tools are built
ln -s /usr/local/go/bin/go "$build/usr/local/bin/go"
# The compiler in the container downloads nothing.
cat >"$build/usr/local/go/go.env" <<END
GOPROXY=off
GOTOOLCHAIN=local
GOMODCACHE=/modules
GOCACHE=/build-cache
END
# The cache stays beside Go's own for the next time: to fill it takes two cores a minute. Go
# removes what was not used for five days.
kept=$(go env GOCACHE)/oz-bitbucket-containers
mkdir -p "$kept"
for architecture in amd64 arm64; do
	GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)" \
		GOMODCACHE="$build/modules" GOCACHE="$kept" GOFLAGS=-modcacherw \
		CGO_ENABLED=0 GOARCH=$architecture go build -trimpath -buildvcs=false -o /dev/null .
done
cp -a "$kept" "$build/build-cache"
