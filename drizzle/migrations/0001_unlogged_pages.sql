-- Staged pages are worth nothing after a crash: the update starts again. Compressing what is read once is wasted too.
ALTER TABLE "staged_pages" SET UNLOGGED;--> statement-breakpoint
ALTER TABLE "staged_pages" ALTER COLUMN "rows" SET STORAGE EXTERNAL;
