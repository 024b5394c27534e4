#!/bin/sh
# Provisions the simulators' sample repository twice: the first run creates the
# environment, the second keeps it. Run by `make demo`.
set -eu

echo '$ oz-bitbucket          # the first run creates the secret and the environment'
first=$(bin/oz-bitbucket)
echo "$first"
echo
echo '$ oz-bitbucket          # the second run rotates the secret and keeps the environment'
second=$(bin/oz-bitbucket)
echo "$second"

case $first in *'"environment_change":"create"'*'"smoke_test":"passed"'*) ;; *) echo 'demo: the first run did not create the environment' >&2; exit 1 ;; esac
case $second in *'"environment_change":"keep"'*'"smoke_test":"passed"'*) ;; *) echo 'demo: the second run did not keep the environment' >&2; exit 1 ;; esac
echo 'demo passed'
