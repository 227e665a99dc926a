CREATE TABLE "audit_entries" (
	"entry_id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"action" text NOT NULL,
	"subject" text COLLATE "C" NOT NULL,
	"application_id" text COLLATE "C",
	"key_id" text COLLATE "C",
	"request_id" text,
	"detail" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "connection_history" (
	"connection_id" text COLLATE "C" NOT NULL,
	"position" integer NOT NULL,
	"at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"action" text NOT NULL,
	"initiator" text NOT NULL,
	"application_id" text COLLATE "C",
	"key_id" text COLLATE "C",
	"reason" text,
	"grant" jsonb NOT NULL,
	CONSTRAINT "connection_history_connection_id_position_pk" PRIMARY KEY("connection_id","position")
);
--> statement-breakpoint
CREATE TABLE "connections" (
	"connection_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"application_id" text COLLATE "C" NOT NULL,
	"item_id" text COLLATE "C" NOT NULL,
	"user_id" text COLLATE "C" NOT NULL,
	"scopes" text[] NOT NULL,
	"account_ids" text[],
	"new_accounts" boolean NOT NULL,
	"granted_accounts" text[],
	"awaits_accounts" boolean DEFAULT false NOT NULL,
	"lookback_days" integer,
	"expires_at" timestamp(6) with time zone,
	"purpose" text,
	"evidence" jsonb,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"suspended_at" timestamp(6) with time zone,
	"expired_noted_at" timestamp(6) with time zone,
	"expiry_told_days" integer,
	"revoked_at" timestamp(6) with time zone,
	"revoked_reason" text,
	"revoked_initiator" text,
	"accounts_read_at" timestamp(6) with time zone,
	"balances_read_at" timestamp(6) with time zone,
	"transactions_read_at" timestamp(6) with time zone,
	"numbers_read_at" timestamp(6) with time zone
);
--> statement-breakpoint
CREATE TABLE "deliveries" (
	"delivery_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"endpoint_id" text COLLATE "C" NOT NULL,
	"event_id" text COLLATE "C" NOT NULL,
	"lane" text COLLATE "C" NOT NULL,
	"position" bigint NOT NULL,
	"type" text NOT NULL,
	"state" text DEFAULT 'pending' NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"attempts_before" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"claim" text,
	"claimed_until" timestamp(6) with time zone,
	"last_status" integer,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"ended_at" timestamp(6) with time zone,
	CONSTRAINT "deliveries_state" CHECK ("deliveries"."state" IN ('pending', 'delivered', 'failed', 'superseded', 'cancelled', 'held'))
);
--> statement-breakpoint
CREATE TABLE "delivery_attempts" (
	"delivery_id" text COLLATE "C" NOT NULL,
	"number" integer NOT NULL,
	"at" timestamp(6) with time zone NOT NULL,
	"status" integer,
	"duration_ms" integer NOT NULL,
	"answer" text,
	"failure" text,
	CONSTRAINT "delivery_attempts_delivery_id_number_pk" PRIMARY KEY("delivery_id","number")
);
--> statement-breakpoint
CREATE TABLE "endpoints" (
	"endpoint_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"application_id" text COLLATE "C" NOT NULL,
	"url" text NOT NULL,
	"types" text[] NOT NULL,
	"signature" text NOT NULL,
	"rate_per_second" integer,
	"consent" boolean DEFAULT false NOT NULL,
	"state" text DEFAULT 'enabled' NOT NULL,
	"state_reason" text,
	"state_since" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"secret_key_id" text COLLATE "C" NOT NULL,
	"secret_data_key" "bytea" NOT NULL,
	"secret_ciphertext" "bytea" NOT NULL,
	"public_key" text,
	"previous_key_id" text COLLATE "C",
	"previous_data_key" "bytea",
	"previous_ciphertext" "bytea",
	"previous_until" timestamp(6) with time zone,
	"failures" integer DEFAULT 0 NOT NULL,
	"failing_since" timestamp(6) with time zone,
	"rests_until" timestamp(6) with time zone,
	"leased_until" timestamp(6) with time zone,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"deleted_at" timestamp(6) with time zone,
	CONSTRAINT "endpoints_state" CHECK ("endpoints"."state" IN ('enabled', 'paused', 'failing', 'disabled'))
);
--> statement-breakpoint
CREATE TABLE "erasures" (
	"erasure_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"user_hash" text COLLATE "C" NOT NULL,
	"user_id" text COLLATE "C",
	"application_id" text COLLATE "C" NOT NULL,
	"key_id" text COLLATE "C" NOT NULL,
	"connected_applications" text[] DEFAULT '{}' NOT NULL,
	"requested_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"ended_at" timestamp(6) with time zone,
	"counts" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "events" (
	"event_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"xid" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"position" bigint GENERATED ALWAYS AS IDENTITY (sequence name "events_position_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"type" text NOT NULL,
	"time" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"item_id" text COLLATE "C",
	"user_id" text COLLATE "C",
	"connection_id" text COLLATE "C",
	"endpoint_id" text COLLATE "C",
	"application_id" text COLLATE "C",
	"data" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "portal_sessions" (
	"token_hash" text COLLATE "C" PRIMARY KEY NOT NULL,
	"user_id" text COLLATE "C" NOT NULL,
	"application_id" text COLLATE "C" NOT NULL,
	"key_id" text COLLATE "C" NOT NULL,
	"return_url" text,
	"locale" text,
	"created_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	"expires_at" timestamp(6) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "listed_since" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "api_keys" ADD COLUMN "last_used_at" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "applications" ADD COLUMN "access" text DEFAULT 'all' NOT NULL;--> statement-breakpoint
ALTER TABLE "applications" ADD COLUMN "display_name" text;--> statement-breakpoint
ALTER TABLE "applications" ADD COLUMN "company" text;--> statement-breakpoint
ALTER TABLE "applications" ADD COLUMN "url" text;--> statement-breakpoint
ALTER TABLE "applications" ADD COLUMN "logo_url" text;--> statement-breakpoint
ALTER TABLE "applications" ADD COLUMN "reason_for_access" text;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "transactions_unavailable_since" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "disconnects_at" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "unconnected_since" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "links" ADD COLUMN "connection" jsonb;--> statement-breakpoint
ALTER TABLE "connections" ADD CONSTRAINT "connections_application_id_applications_application_id_fk" FOREIGN KEY ("application_id") REFERENCES "public"."applications"("application_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "connections" ADD CONSTRAINT "connections_item_id_items_item_id_fk" FOREIGN KEY ("item_id") REFERENCES "public"."items"("item_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "endpoints" ADD CONSTRAINT "endpoints_application_id_applications_application_id_fk" FOREIGN KEY ("application_id") REFERENCES "public"."applications"("application_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "connections_live" ON "connections" USING btree ("item_id","application_id") WHERE "connections"."revoked_at" IS NULL;--> statement-breakpoint
CREATE INDEX "connections_by_item" ON "connections" USING btree ("item_id","created_at","connection_id");--> statement-breakpoint
CREATE INDEX "connections_by_user" ON "connections" USING btree ("user_id","created_at","connection_id");--> statement-breakpoint
CREATE INDEX "connections_by_application" ON "connections" USING btree ("application_id","created_at","connection_id");--> statement-breakpoint
CREATE INDEX "connections_by_expiry" ON "connections" USING btree ("expires_at") WHERE "connections"."revoked_at" IS NULL AND "connections"."expired_noted_at" IS NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "deliveries_by_event" ON "deliveries" USING btree ("event_id","endpoint_id");--> statement-breakpoint
CREATE INDEX "deliveries_due" ON "deliveries" USING btree ("endpoint_id","next_attempt_at") WHERE "deliveries"."state" = 'pending';--> statement-breakpoint
CREATE INDEX "deliveries_by_lane" ON "deliveries" USING btree ("endpoint_id","lane","position") WHERE "deliveries"."state" = 'pending';--> statement-breakpoint
CREATE INDEX "deliveries_by_endpoint" ON "deliveries" USING btree ("endpoint_id","position");--> statement-breakpoint
CREATE INDEX "endpoints_by_application" ON "endpoints" USING btree ("application_id","created_at","endpoint_id") WHERE "endpoints"."deleted_at" IS NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "erasures_running" ON "erasures" USING btree ("user_id") WHERE "erasures"."user_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "erasures_by_hash" ON "erasures" USING btree ("user_hash");--> statement-breakpoint
CREATE INDEX "events_by_transaction" ON "events" USING btree ("xid","position");--> statement-breakpoint
CREATE INDEX "events_by_item" ON "events" USING btree ("item_id","position");--> statement-breakpoint
CREATE INDEX "events_by_user" ON "events" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "events_by_time" ON "events" USING btree ("time");--> statement-breakpoint
CREATE INDEX "portal_sessions_by_expiry" ON "portal_sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE FUNCTION "refuse_change_of_history"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	-- The erasure of a user alone may take rows away, and says so for its transaction.
	IF TG_OP = 'DELETE' AND current_setting('sluice.erasing', true) = 'on' THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'connection_history is append-only';
END $$;--> statement-breakpoint
CREATE TRIGGER "connection_history_append_only" BEFORE UPDATE OR DELETE ON "connection_history"
	FOR EACH ROW EXECUTE FUNCTION "refuse_change_of_history"();--> statement-breakpoint
-- Who linked an Item before there were connections is connected with all of it.
INSERT INTO "connections" ("connection_id", "application_id", "item_id", "user_id", "scopes", "new_accounts")
SELECT 'con_' || gen_random_uuid(), a."application_id", i."item_id", i."user_id",
	ARRAY['accounts', 'balances', 'transactions'] || CASE
		WHEN EXISTS (SELECT FROM "account_numbers" n WHERE n."item_id" = i."item_id") THEN ARRAY['numbers'] ELSE '{}' END,
	true
FROM "items" i JOIN "links" l ON l."token_hash" = i."token_hash" JOIN "applications" a ON a."application_id" = l."application_id"
WHERE i."admitted_at" IS NOT NULL AND i."removed_at" IS NULL;--> statement-breakpoint
INSERT INTO "connection_history" ("connection_id", "position", "action", "initiator", "application_id", "reason", "grant")
SELECT "connection_id", 1, 'created', 'application', "application_id", 'linked before there were connections',
	jsonb_build_object('scopes', "scopes", 'account_ids', NULL, 'new_accounts', true, 'lookback_days', NULL, 'expires_at', NULL,
		'purpose', NULL, 'evidence', NULL)
FROM "connections";
