CREATE TABLE "account_identities" (
	"item_id" text COLLATE "C" NOT NULL,
	"position" integer NOT NULL,
	"persistent_account_id" text COLLATE "C",
	"mask" text,
	"name" text,
	"type" text,
	"subtype" text,
	CONSTRAINT "account_identities_item_id_position_pk" PRIMARY KEY("item_id","position")
);
--> statement-breakpoint
CREATE TABLE "account_numbers" (
	"item_id" text COLLATE "C" NOT NULL,
	"account_id" text COLLATE "C" NOT NULL,
	"numbers_key_id" text COLLATE "C" NOT NULL,
	"numbers_data_key" "bytea" NOT NULL,
	"numbers_ciphertext" "bytea" NOT NULL,
	"as_of" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "account_numbers_item_id_account_id_pk" PRIMARY KEY("item_id","account_id")
);
--> statement-breakpoint
CREATE TABLE "accounts" (
	"item_id" text COLLATE "C" NOT NULL,
	"account_id" text COLLATE "C" NOT NULL,
	"status" text NOT NULL,
	"is_main" boolean NOT NULL,
	"raw" jsonb NOT NULL,
	"refined" jsonb NOT NULL,
	"as_of" timestamp(6) with time zone NOT NULL,
	"version" integer NOT NULL,
	"sanitized" boolean DEFAULT false NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"updated_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "accounts_item_id_account_id_pk" PRIMARY KEY("item_id","account_id"),
	CONSTRAINT "accounts_status" CHECK ("accounts"."status" IN ('open', 'closed'))
);
--> statement-breakpoint
CREATE TABLE "alerts" (
	"kind" text NOT NULL,
	"key" text NOT NULL,
	"item_id" text COLLATE "C",
	"detail" jsonb NOT NULL,
	"raised_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "alerts_kind_key_pk" PRIMARY KEY("kind","key")
);
--> statement-breakpoint
CREATE TABLE "api_keys" (
	"key_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"application_id" text COLLATE "C" NOT NULL,
	"key_hash" text COLLATE "C" NOT NULL,
	"scopes" text[] NOT NULL,
	"bootstrap" boolean DEFAULT false NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"revoked_at" timestamp(6) with time zone,
	CONSTRAINT "api_keys_key_hash_unique" UNIQUE("key_hash")
);
--> statement-breakpoint
CREATE TABLE "applications" (
	"application_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "items" (
	"item_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"user_id" text COLLATE "C" NOT NULL,
	"token_hash" text COLLATE "C" NOT NULL,
	"access_token_key_id" text COLLATE "C",
	"access_token_data_key" "bytea",
	"access_token_ciphertext" "bytea",
	"institution_id" text COLLATE "C",
	"institution_name" text,
	"main_account_id" text COLLATE "C",
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"admitted_at" timestamp(6) with time zone,
	"removal_requested_at" timestamp(6) with time zone,
	"removed_at" timestamp(6) with time zone,
	"error_type" text,
	"error_code" text,
	"error_since" timestamp(6) with time zone,
	"error_episode" integer DEFAULT 0 NOT NULL,
	"history" text DEFAULT 'none' NOT NULL,
	"cursor" text DEFAULT '' NOT NULL,
	"last_update_id" text,
	"last_update_outcome" jsonb,
	"last_update_at" timestamp(6) with time zone,
	"update_started_at" timestamp(6) with time zone,
	"next_due_at" timestamp(6) with time zone,
	"numbers_due_at" timestamp(6) with time zone,
	"consent_expires_at" timestamp(6) with time zone,
	"new_accounts_available" boolean DEFAULT false NOT NULL,
	"last_sequence" bigint DEFAULT 0 NOT NULL,
	"last_transaction_sequence" bigint DEFAULT 0 NOT NULL,
	"last_account_sequence" bigint DEFAULT 0 NOT NULL,
	"unsent_since" timestamp(6) with time zone,
	CONSTRAINT "items_history" CHECK ("items"."history" IN ('none', 'initial', 'complete'))
);
--> statement-breakpoint
CREATE TABLE "links" (
	"token_hash" text COLLATE "C" PRIMARY KEY NOT NULL,
	"user_id" text COLLATE "C" NOT NULL,
	"application_id" text COLLATE "C" NOT NULL,
	"state" text DEFAULT 'received' NOT NULL,
	"public_token_key_id" text COLLATE "C",
	"public_token_data_key" "bytea",
	"public_token_ciphertext" "bytea",
	"institution_id" text COLLATE "C",
	"accounts" jsonb NOT NULL,
	"main_account_id" text COLLATE "C",
	"item_id" text COLLATE "C",
	"outcome" jsonb,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"updated_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "links_state" CHECK ("links"."state" IN ('received', 'exchanging', 'exchanged', 'finished'))
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"item_id" text COLLATE "C" NOT NULL,
	"sequence" bigint NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"record" text NOT NULL,
	"removed" boolean NOT NULL,
	"subject" text COLLATE "C" NOT NULL,
	"version" integer NOT NULL,
	"raw" jsonb NOT NULL,
	"refined" jsonb NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "outbox_item_id_sequence_pk" PRIMARY KEY("item_id","sequence"),
	CONSTRAINT "outbox_record" CHECK ("outbox"."record" IN ('transaction', 'account'))
);
--> statement-breakpoint
CREATE TABLE "outbox_marks" (
	"item_id" text COLLATE "C" NOT NULL,
	"record" text NOT NULL,
	"form" text NOT NULL,
	"sent" bigint NOT NULL,
	CONSTRAINT "outbox_marks_item_id_record_form_pk" PRIMARY KEY("item_id","record","form")
);
--> statement-breakpoint
CREATE TABLE "parked_rows" (
	"item_id" text COLLATE "C" NOT NULL,
	"transaction_id" text COLLATE "C" NOT NULL,
	"update_id" text NOT NULL,
	"row" text NOT NULL,
	"reason" text NOT NULL,
	"parked_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "parked_rows_item_id_transaction_id_pk" PRIMARY KEY("item_id","transaction_id")
);
--> statement-breakpoint
CREATE TABLE "staged_pages" (
	"item_id" text COLLATE "C" NOT NULL,
	"update_id" text NOT NULL,
	"page" integer NOT NULL,
	"cursor" text NOT NULL,
	"next_cursor" text NOT NULL,
	"horizon" timestamp(6) with time zone NOT NULL,
	"row_count" integer NOT NULL,
	"rows" jsonb NOT NULL,
	"staged_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "staged_pages_item_id_update_id_page_pk" PRIMARY KEY("item_id","update_id","page")
);
--> statement-breakpoint
CREATE TABLE "transactions" (
	"item_id" text COLLATE "C" NOT NULL,
	"transaction_id" text COLLATE "C" NOT NULL,
	"account_id" text COLLATE "C",
	"status" text NOT NULL,
	"date" date,
	"amount" numeric,
	"currency" text,
	"raw" jsonb,
	"refined" jsonb NOT NULL,
	"version" integer NOT NULL,
	"sanitized" boolean DEFAULT false NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"updated_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "transactions_item_id_transaction_id_pk" PRIMARY KEY("item_id","transaction_id"),
	CONSTRAINT "transactions_status" CHECK ("transactions"."status" IN ('pending', 'posted', 'removed'))
);
--> statement-breakpoint
CREATE TABLE "users" (
	"user_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"activated_at" timestamp(6) with time zone
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"webhook_id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"received_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"source" text NOT NULL,
	"verdict" text NOT NULL,
	"webhook_type" text,
	"webhook_code" text,
	"item_id" text COLLATE "C",
	"kind" text,
	"removed_ids" text[] NOT NULL,
	"outcome" text NOT NULL,
	"reason" text,
	"settled_at" timestamp(6) with time zone,
	"signalled_at" timestamp(6) with time zone,
	"headers" jsonb NOT NULL,
	"body" "bytea" NOT NULL,
	CONSTRAINT "webhooks_verdict" CHECK ("webhooks"."verdict" IN ('accepted', 'rejected')),
	CONSTRAINT "webhooks_outcome" CHECK ("webhooks"."outcome" IN ('pending', 'done', 'ignored', 'rejected'))
);
--> statement-breakpoint
ALTER TABLE "account_identities" ADD CONSTRAINT "account_identities_item_id_items_item_id_fk" FOREIGN KEY ("item_id") REFERENCES "public"."items"("item_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "account_numbers" ADD CONSTRAINT "account_numbers_item_id_items_item_id_fk" FOREIGN KEY ("item_id") REFERENCES "public"."items"("item_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_item_id_items_item_id_fk" FOREIGN KEY ("item_id") REFERENCES "public"."items"("item_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_application_id_applications_application_id_fk" FOREIGN KEY ("application_id") REFERENCES "public"."applications"("application_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "items" ADD CONSTRAINT "items_user_id_users_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("user_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_user_id_users_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("user_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "items_by_user" ON "items" USING btree ("user_id","created_at","item_id");--> statement-breakpoint
CREATE INDEX "items_by_due" ON "items" USING btree ("next_due_at") WHERE "items"."removed_at" IS NULL;--> statement-breakpoint
CREATE INDEX "items_by_removal" ON "items" USING btree ("removal_requested_at") WHERE "items"."removed_at" IS NULL;--> statement-breakpoint
CREATE INDEX "items_by_numbers" ON "items" USING btree ("numbers_due_at") WHERE "items"."numbers_due_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "items_by_unsent" ON "items" USING btree ("unsent_since") WHERE "items"."unsent_since" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "links_unfinished" ON "links" USING btree ("updated_at") WHERE "links"."state" <> 'finished';--> statement-breakpoint
CREATE INDEX "transactions_by_date" ON "transactions" USING btree ("item_id","date" DESC NULLS FIRST,"transaction_id");--> statement-breakpoint
CREATE INDEX "webhooks_by_time" ON "webhooks" USING btree ("received_at" DESC NULLS LAST,"webhook_id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "webhooks_by_item" ON "webhooks" USING btree ("item_id","received_at" DESC NULLS LAST,"webhook_id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "webhooks_pending" ON "webhooks" USING btree ("item_id","received_at") WHERE "webhooks"."outcome" = 'pending';--> statement-breakpoint
CREATE INDEX "webhooks_rejected" ON "webhooks" USING btree ("received_at") WHERE "webhooks"."verdict" = 'rejected';