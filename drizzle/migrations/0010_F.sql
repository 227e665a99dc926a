ALTER TABLE "accounts" ADD COLUMN "listed_since" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "transactions_unavailable_since" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "disconnects_at" timestamp(6) with time zone;