-- step: concurrent
CREATE INDEX CONCURRENTLY "items_unconnected" ON "items" USING btree ("unconnected_since") WHERE "items"."unconnected_since" IS NOT NULL AND "items"."removed_at" IS NULL;