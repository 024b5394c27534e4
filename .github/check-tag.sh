#!/bin/sh
# Prints the version and its first number when git's ref is the tag of a release:
#
#	sh .github/check-tag.sh refs/tags/source/v1.2.3
#
# Everything else is refused, also source/v1.2.3-rc1: its image would become "latest".
# The release workflow runs this before it pushes anything.
set -eu
refuse() { echo "not the tag of a release, source/vMAJOR.MINOR.PATCH: $1" >&2; exit 1; }

version=${1#refs/tags/source/v}
[ "$version" != "$1" ] || refuse "$1"
case $version in *[!0-9.]*) refuse "$1" ;; esac # line breaks too
echo "$version" | grep -qxE '(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}' || refuse "$1"
echo "version=$version"
echo "major=${version%%.*}"
