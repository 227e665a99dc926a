ALTER TABLE "connections" ADD COLUMN "awaited" jsonb;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "relink_began_at" timestamp(6) with time zone;