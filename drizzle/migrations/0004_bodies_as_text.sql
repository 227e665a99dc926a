ALTER TABLE "outbox" ALTER COLUMN "raw" SET DATA TYPE json, ALTER COLUMN "refined" SET DATA TYPE json;--> statement-breakpoint
ALTER TABLE "transactions" ALTER COLUMN "raw" SET DATA TYPE json, ALTER COLUMN "refined" SET DATA TYPE json;--> statement-breakpoint
-- Pages under way have nothing to fill these columns with: their updates start again, as they do after a crash.
TRUNCATE "staged_pages";--> statement-breakpoint
ALTER TABLE "staged_pages" ADD COLUMN "raws" text NOT NULL;--> statement-breakpoint
ALTER TABLE "staged_pages" ADD COLUMN "refineds" text NOT NULL;--> statement-breakpoint
ALTER TABLE "staged_pages" ALTER COLUMN "raws" SET STORAGE EXTERNAL;--> statement-breakpoint
ALTER TABLE "staged_pages" ALTER COLUMN "refineds" SET STORAGE EXTERNAL;
