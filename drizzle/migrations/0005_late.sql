ALTER TABLE "institutions" ADD COLUMN "listed_at" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "health_answers" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "numbers_facts" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "staged_pages" ADD COLUMN "began" jsonb;