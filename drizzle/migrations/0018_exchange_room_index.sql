-- step: concurrent
CREATE INDEX CONCURRENTLY "links_by_user" ON "links" USING btree ("user_id","created_at");
