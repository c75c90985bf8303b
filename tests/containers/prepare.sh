#!/usr/bin/env bash
# Makes the secrets and a certificate for localhost; run as CTR_PREPARE of ../shared/tools/containers.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
make secrets
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout secrets/tls/tls.key -out secrets/tls/tls.crt
chmod 444 secrets/tls/tls.key
