#!/usr/bin/env bash
# What holds of the stack once it is up, over TLS with the certificate that prepare.sh has made; run in its network by
#
#   CTR_PREPARE='bash tests/containers/prepare.sh' CTR_CHECK='bash tests/containers/check.sh' CTR_PATHS=/health/live \
#   CTR_STANDIN_DIR=$PWD/tests/containers ../shared/tools/containers.sh .
#
# which must pass with one WARN, that its mongod is 6.0 and not 8. CTR_STRICT=1 stops at that one; where the stand-in
# standin/mongo is there from an earlier run, give it another name to go on: a local_mongo.Dockerfile "FROM
# standin/mongo:latest" beside this file, and "local/mongo:8" for "mongo:8" in the copy's docker-compose.yml.
set -euo pipefail
cd "$(dirname "$0")/../.."
port=${GATEWAY_PORT:-8000}
address=https://localhost:$port
ask() { curl -sS --cacert secrets/tls/tls.crt -o /tmp/answer -w '%{http_code}' "$@"; }
expect() { # expect STATUS CODE curl-arguments...
  local status=$1 code=$2 found; shift 2
  found=$(ask "$@") || { echo "no answer: $*"; exit 1; }
  [ "$found" = "$status" ] && { [ -z "$code" ] || grep -q "\"code\":\"$code\"" /tmp/answer; } \
    || { echo "$*: $found $(cat /tmp/answer), not $status $code"; exit 1; }
}

expect 200 "" "$address/health/ready"
expect 401 unauthenticated "$address/api/v1/customers"
expect 404 not_found "$address/metrics"
head -c 3000000 /dev/zero > /tmp/large
expect 413 body_too_large -X POST --data-binary @/tmp/large "$address/api/v1/customers"
expect 401 unauthenticated -X POST --data-binary @/tmp/large -H 'Content-Type: text/csv' "$address/api/v1/imports"
curl -sS --cacert secrets/tls/tls.crt -D - -o /dev/null "$address/" | grep -qi '^strict-transport-security:' || { echo "no HSTS"; exit 1; }
expect 308 "" "http://localhost:$port/health/live"
expect 421 tls_required -H 'Authorization: Bearer x' "http://localhost:$port/api/v1/customers"
echo "over TLS: health, refusals, sizes, no metrics, HSTS; plain HTTP is sent away"
