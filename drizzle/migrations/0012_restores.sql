CREATE TABLE "restores" (
	"restore_id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"restored_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"ended_at" timestamp(6) with time zone
);
