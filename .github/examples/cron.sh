#!/bin/sh
# For cron, or by hand. The two credentials are files that only this user can read.
#
#	17 3 * * 1  REPO_URL=https://bitbucket.org/your-workspace/your-repo.git  $HOME/bin/cron.sh
set -eu
: "${REPO_URL:?}"
credentials=${CREDENTIALS:-$HOME/.config/oz-bitbucket}

# The log goes to stderr, which cron sends by mail; stdout is the outputs as one
# line of JSON. Use the digest of a release.
docker run --rm --volume "$credentials:/secrets:ro" \
	--env WARP_API_KEY_FILE=/secrets/warp-api-key --env BITBUCKET_TOKEN_FILE=/secrets/bitbucket-token \
	--env REPO_URL --env SETUP_COMMANDS \
	"${IMAGE:-ghcr.io/oz-bitbucket/oz-bitbucket:latest}"
