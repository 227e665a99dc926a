CREATE TABLE "erased_items" (
	"item_hash" text COLLATE "C" PRIMARY KEY NOT NULL,
	"erased_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL
);
