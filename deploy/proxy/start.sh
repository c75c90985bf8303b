#!/bin/sh
# Makes nginx.conf of its template and starts nginx: over TLS if PROXY_TLS holds tls.crt and tls.key, else plain HTTP, which
# is for this machine alone. What the variables are for is in docs/operations.md, "The proxy".
set -eu
refuse() { echo "proxy: $*" >&2; exit 1; }

PROXY_HOME=$(cd "$(dirname "$0")" && pwd)
: "${PROXY_GATEWAY:=gateway:8000}" "${PROXY_PORT:=8080}" "${PROXY_HEALTH_PORT:=8081}" "${PROXY_ADDRESS:=127.0.0.1}"
: "${PROXY_RUN:=/tmp}" "${PROXY_BUFFERS:=/var/cache/nginx}" "${PROXY_TLS:=/tls}" "${PROXY_CONNECTIONS:=256}"
: "${PROXY_HEADER_TIMEOUT:=10s}" "${PROXY_BODY_TIMEOUT:=30s}" "${PROXY_SEND_TIMEOUT:=60s}"
: "${PROXY_ANSWER_TIMEOUT:=130s}" "${PROXY_LONG_ANSWER_TIMEOUT:=660s}"
: "${GATEWAY_MAX_BODY_BYTES:=2097152}" "${GATEWAY_MAX_UPLOAD_BYTES:=1073741824}"

PROXY_LISTEN=$PROXY_PORT PROXY_CERTIFICATE=
if [ -e "$PROXY_TLS/tls.crt" ] || [ -e "$PROXY_TLS/tls.key" ]; then
  for file in tls.crt tls.key; do
    [ -r "$PROXY_TLS/$file" ] || refuse "$PROXY_TLS/$file cannot be read by user $(id -u)"
  done
  PROXY_LISTEN="$PROXY_PORT ssl"
  PROXY_CERTIFICATE="ssl_certificate $PROXY_TLS/tls.crt; ssl_certificate_key $PROXY_TLS/tls.key;"
else
  case $PROXY_ADDRESS in
    127.* | ::1 | "[::1]" | localhost) ;;
    *) refuse "PROXY_ADDRESS=$PROXY_ADDRESS needs TLS (tls.crt and tls.key): keys must not travel in the clear" ;;
  esac
fi

# Names of containers change their addresses; nginx follows them from 1.27.3 on, earlier ones keep those of the start.
version=$(nginx -v 2>&1 | sed 's|.*nginx/||; s|[^0-9.].*||')
PROXY_FOLLOW=
[ "$(printf '%s\n' 1.27.3 "$version" | sort -V | head -n 1)" != 1.27.3 ] || PROXY_FOLLOW=resolve
PROXY_RESOLVER=$(awk '$1 == "nameserver" { print ($2 ~ /:/) ? "[" $2 "]" : $2; exit }' /etc/resolv.conf)
: "${PROXY_RESOLVER:=127.0.0.11}"

export PROXY_HOME PROXY_GATEWAY PROXY_LISTEN PROXY_CERTIFICATE PROXY_FOLLOW PROXY_RESOLVER PROXY_HEALTH_PORT PROXY_RUN \
  PROXY_BUFFERS PROXY_CONNECTIONS PROXY_HEADER_TIMEOUT PROXY_BODY_TIMEOUT PROXY_SEND_TIMEOUT PROXY_ANSWER_TIMEOUT \
  PROXY_LONG_ANSWER_TIMEOUT GATEWAY_MAX_BODY_BYTES GATEWAY_MAX_UPLOAD_BYTES
# Only these: what nginx itself calls $name stays.
names=$(grep -o '${[A-Z_]*}' "$PROXY_HOME/nginx.conf.template" | sort -u)
envsubst "$names" < "$PROXY_HOME/nginx.conf.template" > "$PROXY_RUN/nginx.conf"
exec nginx -e stderr -c "$PROXY_RUN/nginx.conf" "$@"
