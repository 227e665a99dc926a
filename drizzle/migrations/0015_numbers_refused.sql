ALTER TABLE "items" ADD COLUMN "numbers_refused_code" text;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "numbers_lacking_since" timestamp(6) with time zone;