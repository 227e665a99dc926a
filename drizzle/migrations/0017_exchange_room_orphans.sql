-- What was written beside the end of its event, before the foreign keys forbade it.
DELETE FROM "deliveries" d WHERE NOT EXISTS (SELECT FROM "events" e WHERE e."event_id" = d."event_id");--> statement-breakpoint
DELETE FROM "delivery_attempts" t WHERE NOT EXISTS (SELECT FROM "deliveries" d WHERE d."delivery_id" = t."delivery_id");--> statement-breakpoint
ALTER TABLE "deliveries" VALIDATE CONSTRAINT "deliveries_event_id_events_event_id_fk";--> statement-breakpoint
ALTER TABLE "delivery_attempts" VALIDATE CONSTRAINT "delivery_attempts_delivery_id_deliveries_delivery_id_fk";
