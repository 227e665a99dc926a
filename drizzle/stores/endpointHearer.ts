import type { Sql, Tx } from '../rows.js';
import type { Hearer } from './audience.js';

/** Who hears what is sent to endpoint `p` of application `a`. */
export const hearerOf = (sql: Sql | Tx): Hearer => ({
  applicationId: sql`p.application_id`,
  access: sql`a.access`,
  consent: sql`p.consent`,
});
