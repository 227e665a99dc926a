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
ALTER TABLE "links" ADD COLUMN "allow_duplicate" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "links" ADD COLUMN "dropped_accounts" text[];