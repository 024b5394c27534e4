#!/bin/sh
# Points the action, the pipe and the GitLab component at a published image:
#
#	sh .github/pin-image.sh ghcr.io/oz-bitbucket/oz-bitbucket 1.2.3 sha256:...
#
# The release workflow runs this for the commit that the release's tag names. So pinning
# that commit also pins the image, and the image is pulled instead of built.
set -eu
image=$1 version=$2 digest=$3

echo "$version" | grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' || { echo "not a version: $version" >&2; exit 1; }
echo "$digest" | grep -qxE 'sha256:[0-9a-f]{64}' || { echo "not a digest: $digest" >&2; exit 1; }

sed -i "s|^  image: Dockerfile\$|  image: docker://$image@$digest|" action.yml
sed -i "s|^\(image: .*\):1\$|\1:$version|" pipe.yml
sed -i "s|'$image:latest'|'$image:$version@$digest'|" templates/oz-bitbucket.yml
