CREATE TABLE "bank_pauses" (
	"institution_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"failures" integer NOT NULL,
	"probing" boolean NOT NULL,
	"next_try_at" timestamp(6) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "user_event_shards" ADD COLUMN "stream_created_at" timestamp(6) with time zone;