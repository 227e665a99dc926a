CREATE TABLE "sweep_told" (
	"kind" text NOT NULL,
	"subject" text COLLATE "C" NOT NULL,
	"told_at" timestamp(6) with time zone NOT NULL,
	CONSTRAINT "sweep_told_kind_subject_pk" PRIMARY KEY("kind","subject")
);
--> statement-breakpoint
CREATE TABLE "webhook_keys" (
	"plaid" text NOT NULL,
	"kid" text COLLATE "C" NOT NULL,
	"jwk" jsonb NOT NULL,
	"expired_at" timestamp(6) with time zone,
	"checked_at" timestamp(6) with time zone NOT NULL,
	CONSTRAINT "webhook_keys_plaid_kid_pk" PRIMARY KEY("plaid","kid")
);
--> statement-breakpoint
CREATE TABLE "webhook_senders" (
	"plaid" text NOT NULL,
	"address" text NOT NULL,
	"seen_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "webhook_senders_plaid_address_pk" PRIMARY KEY("plaid","address")
);
--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD COLUMN "effect_id" uuid;--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD COLUMN "effect" text;--> statement-breakpoint
ALTER TABLE "institutions" ADD COLUMN "listed_at" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "health_answers" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "numbers_facts" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "staged_pages" ADD COLUMN "began" jsonb;--> statement-breakpoint
CREATE INDEX "sweep_told_by_time" ON "sweep_told" USING btree ("told_at");