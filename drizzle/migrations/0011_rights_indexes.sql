-- step: concurrent
CREATE INDEX CONCURRENTLY "deliveries_held" ON "deliveries" USING btree ("endpoint_id","lane") WHERE "deliveries"."state" = 'held';