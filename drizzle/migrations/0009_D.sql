ALTER TABLE "deliveries" ADD COLUMN "attempts_before" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "endpoints" ADD COLUMN "public_key" text;--> statement-breakpoint
ALTER TABLE "endpoints" ADD COLUMN "leased_until" timestamp(6) with time zone;