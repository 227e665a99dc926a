CREATE TABLE "bank_pauses" (
	"institution_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"failures" integer NOT NULL,
	"probing" boolean NOT NULL,
	"next_try_at" timestamp(6) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "institution_aliases" (
	"alias_id" text COLLATE "C" NOT NULL,
	"institution_id" text COLLATE "C" NOT NULL,
	"noticed_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "institution_aliases_alias_id_institution_id_pk" PRIMARY KEY("alias_id","institution_id")
);
--> statement-breakpoint
ALTER TABLE "account_numbers" ADD COLUMN "doubted_at" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "verification" text;--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "verification_at" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "replaces" text COLLATE "C";--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "replaced_by" text COLLATE "C";--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "error_by_call" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "links" ADD COLUMN "allow_duplicate" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "links" ADD COLUMN "dropped_accounts" text[];--> statement-breakpoint
ALTER TABLE "user_event_shards" ADD COLUMN "stream_created_at" timestamp(6) with time zone;