#!/bin/sh
# Temporal's two databases at the newest schema of this image. Safe to repeat: run before each start of the server.
# Reads POSTGRES_SEEDS, POSTGRES_USER and SQL_PASSWORD.
set -eu
for name in temporal visibility; do
  [ "$name" = temporal ] && database=temporal || database=temporal_visibility
  tool() {
    temporal-sql-tool --plugin postgres12 --endpoint "$POSTGRES_SEEDS" --port 5432 --user "$POSTGRES_USER" --database "$database" "$@"
  }
  tool create-database
  tool setup-schema --version 0.0
  tool update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/$name/versioned"
done
