#!/bin/sh
# The namespace, once the server takes it. Safe to repeat. Reads TEMPORAL_ADDRESS, NAMESPACE and RETENTION.
set -eu
tries=60
until temporal operator namespace describe --namespace "$NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$NAMESPACE" --retention "$RETENTION"; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || exit 1
  sleep 2
done
