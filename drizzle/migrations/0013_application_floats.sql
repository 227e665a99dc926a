CREATE TABLE "application_floats" (
	"application_id" text COLLATE "C" NOT NULL,
	"user_id" text COLLATE "C" NOT NULL,
	"float_id" text COLLATE "C" NOT NULL,
	"status" text NOT NULL,
	"occurred_at" timestamp(6) with time zone NOT NULL,
	"updated_at" timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "application_floats_user_id_float_id_application_id_pk" PRIMARY KEY("user_id","float_id","application_id"),
	CONSTRAINT "application_floats_status" CHECK ("application_floats"."status" IN ('active', 'closed'))
);
