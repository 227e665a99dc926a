import { Failure } from '../../domain/failures.js';
import type { LinkRow, LinkStore, NewLink } from '../../domain/ports/links.js';
import { builder } from '../builder.js';
import { cleaned, jsonbText } from '../jsonText.js';
import { firstOf, sealedOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { applications, items, links, users } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { RowOf, Selected } from '../selection.js';
import { refuseWhileErased } from './beingErased.js';
import { linkAdmissions } from './linkAdmission.js';
import { eraseToken, finishWith, linkRow } from './linkRows.js';
import { lookalikeReads } from './lookalikes.js';
import { withShortWaits, waitsNotLong } from './waitsNotLong.js';

const publicToken = selection(links, [], {
  key_id: 'public_token_key_id',
  data_key: 'public_token_data_key',
  ciphertext: 'public_token_ciphertext',
});
const exchanging = selection(links, ['user_id', 'state', 'item_id']);
const finishing = selection(links, ['outcome', 'state', 'item_id']);

const seeing = selection(applications, ['access']);

const known = selection(items, ['user_id'], { removed: isSet('removed_at') });
const end = selection(items, [], { admitted: isSet('admitted_at'), removed: isSet('removed_at') });

const grantText = ({ connection }: Pick<NewLink, 'connection'>): string | null =>
  connection == null ? null : jsonbText(connection);

/** How long a webhook may wait for its Item to be linked. */
const adoptionWindow = '24 hours';

export function linkStore(sql: Sql): LinkStore {
  const get = async (db: Sql | Tx, tokenHash: string): Promise<LinkRow | null> => {
    const row = firstOf(
      await db<Selected<typeof linkRow>[]>`
      SELECT ${linkRow.list(db)} FROM links WHERE token_hash = ${tokenHash}`,
    );
    return row ?? null;
  };

  /** Whether an application may have the answer to a token that another one has used: only where both see every Item. */
  const sharesTokens = async (mine: string, theirs: string): Promise<boolean> => {
    if (mine === theirs) return true;
    const rows = await sql<Selected<typeof seeing>[]>`
      SELECT ${seeing.list(sql)} FROM applications WHERE application_id = ANY(${[mine, theirs]}::text[])`;
    return rows.every(({ access }) => access === 'all');
  };

  /**
   * A duplicate that was refused before its exchange, and that its client allows now, or whose Item is on its way out or gone since: the
   * token is as good as it was.
   */
  const receivedAnew = async (link: NewLink, known: LinkRow): Promise<LinkRow | null> => {
    const refused = known.outcome?.kind === 'duplicate' && known.item_id === null;
    if (!refused) return null;
    const allowed = link.allow_duplicate === true;
    const row = firstOf(
      await sql<Selected<typeof linkRow>[]>`
      UPDATE links SET state = 'received', outcome = NULL, allow_duplicate = ${allowed}, updated_at = clock_timestamp(),
        connection = ${grantText(link)}::text::jsonb,
        public_token_key_id = ${link.publicToken.keyId}, public_token_data_key = ${link.publicToken.dataKey},
        public_token_ciphertext = ${link.publicToken.ciphertext}
      WHERE token_hash = ${link.token_hash} AND state = 'finished' AND item_id IS NULL AND outcome->>'kind' = 'duplicate'
        AND NOT EXISTS (SELECT FROM erasures e WHERE e.user_id = links.user_id)
        AND (${allowed} OR NOT EXISTS (
          SELECT FROM items i WHERE i.item_id = links.outcome->>'item_id' AND i.removed_at IS NULL AND i.removal_requested_at IS NULL))
      RETURNING ${linkRow.list(sql)}`,
    );
    return row ?? get(sql, link.token_hash);
  };

  const msSince = async (tokenHash: string, time: Fragment): Promise<number> => {
    const row = firstOf(
      await sql<{ ms: number }[]>`
      SELECT extract(epoch FROM clock_timestamp() - ${time})::float8 * 1000 AS ms
      FROM links WHERE token_hash = ${tokenHash}`,
    );
    return row?.ms ?? 0;
  };

  return {
    ...lookalikeReads(sql),
    ...linkAdmissions(sql),

    async receive(link) {
      const known = await get(sql, link.token_hash);
      const isTheirs = async (row: LinkRow): Promise<boolean> =>
        row.user_id === link.user_id && (await sharesTokens(link.application_id, row.application_id));
      // A stranger's token makes nobody a user.
      if (known !== null)
        return (await isTheirs(known)) ? ((await receivedAnew(link, known)) ?? known) : null;
      const accounts = cleaned(link.accounts).value;
      await sql.begin(async (tx) => {
        await builder(tx).insert(users).values({ userId: link.user_id }).onConflictDoNothing();
        await refuseWhileErased(tx, link.user_id);
        await tx`
          INSERT INTO links (token_hash, user_id, application_id, public_token_key_id, public_token_data_key,
            public_token_ciphertext, institution_id, accounts, main_account_id, allow_duplicate, connection)
          VALUES (${link.token_hash}, ${link.user_id}, ${link.application_id}, ${link.publicToken.keyId},
            ${link.publicToken.dataKey}, ${link.publicToken.ciphertext}, ${link.institution_id},
            ${JSON.stringify(accounts)}::text::jsonb, ${link.main_account_id}, ${link.allow_duplicate ?? false},
            ${grantText(link)}::text::jsonb)
          ON CONFLICT DO NOTHING`;
      });
      const row = await get(sql, link.token_hash);
      if (row === null) throw new Failure('UPSTREAM_DOWN', 'the link was not stored');
      return (await isTheirs(row)) ? row : null;
    },

    get: (tokenHash) => get(sql, tokenHash),

    inState: (tokenHash) => msSince(tokenHash, sql`updated_at`),

    age: (tokenHash) => msSince(tokenHash, sql`created_at`),

    async raiseStuck(tokenHash, afterMs, detail) {
      await withShortWaits(sql, async (tx) => {
        // Under a lock for which the end of the link waits, or is waited for.
        await tx`
          INSERT INTO alerts (kind, key, detail)
          SELECT 'link_stuck', l.token_hash, ${jsonbText(detail)}::text::jsonb
          FROM (SELECT token_hash, item_id, state FROM links
            WHERE token_hash = ${tokenHash} AND created_at <= clock_timestamp() - ${`${afterMs} milliseconds`}::interval
            FOR SHARE) AS l
          WHERE l.state <> 'finished' OR EXISTS (
            SELECT FROM items i WHERE i.item_id = l.item_id AND i.admitted_at IS NULL AND i.removed_at IS NULL)
          ON CONFLICT DO NOTHING`;
      });
    },

    async isUnwanted(itemId) {
      const row = firstOf(
        await sql`
        SELECT FROM items i JOIN erasures e ON e.user_id = i.user_id
        WHERE i.item_id = ${itemId} AND i.admitted_at IS NULL`,
      );
      return row !== undefined;
    },

    async beginExchange(tokenHash) {
      const row = firstOf(
        await sql<Selected<typeof publicToken>[]>`
        UPDATE links SET state = 'exchanging', updated_at = clock_timestamp()
        WHERE token_hash = ${tokenHash} AND state = 'received'
        RETURNING ${publicToken.list(sql)}`,
      );
      const sealed = row ? sealedOf(row.key_id, row.data_key, row.ciphertext) : null;
      return sealed && { publicToken: sealed };
    },

    async abandonExchange(tokenHash) {
      await sql`
        UPDATE links SET state = 'received', updated_at = clock_timestamp()
        WHERE token_hash = ${tokenHash} AND state = 'exchanging'`;
    },

    async storeExchanged(tokenHash, item) {
      await sql.begin(async (tx) => {
        const link = firstOf(
          await tx<Selected<typeof exchanging>[]>`
          SELECT ${exchanging.list(tx)} FROM links WHERE token_hash = ${tokenHash} FOR UPDATE`,
        );
        if (link?.state === 'exchanged' && link.item_id === item.itemId) return;
        // Reported as lost meanwhile: the caller removes the Item at Plaid.
        if (link?.state !== 'exchanging') throw new Failure('BAD_REQUEST', 'the link is not being exchanged');
        // Link's update mode gives a public token too, of the Item that the user has already.
        const held = firstOf(
          await tx<Selected<typeof known>[]>`
          SELECT ${known.list(tx)} FROM items WHERE item_id = ${item.itemId}`,
        );
        if (held !== undefined && (held.removed || held.user_id !== link.user_id)) {
          throw new Failure('INVALID_PUBLIC_TOKEN', "the Item is removed or another user's");
        }
        const { keyId, dataKey, ciphertext } = item.accessToken;
        if (held === undefined) {
          await tx`
            INSERT INTO items (item_id, user_id, token_hash, access_token_key_id, access_token_data_key,
              access_token_ciphertext)
            VALUES (${item.itemId}, ${link.user_id}, ${tokenHash}, ${keyId}, ${dataKey}, ${ciphertext})`;
        }
        await tx`
          UPDATE links SET state = 'exchanged', item_id = ${item.itemId}, ${eraseToken(tx)},
            updated_at = clock_timestamp()
          WHERE token_hash = ${tokenHash}`;
        // Its waiting webhooks become answerable by being the Item's now; those that waited too long end here.
        await tx`
          UPDATE webhooks SET outcome = 'ignored', reason = 'unknown_item', settled_at = clock_timestamp()
          WHERE webhook_id IN (
            SELECT webhook_id FROM webhooks
            WHERE item_id = ${item.itemId} AND outcome = 'pending'
              AND received_at < clock_timestamp() - ${adoptionWindow}::interval
            -- What another holds is being ended by it.
            FOR UPDATE SKIP LOCKED)`;
      });
    },

    async reportLost(tokenHash) {
      const row = await withShortWaits(sql, async (tx) => {
        const rows = await tx<Pick<RowOf<typeof links>, 'outcome'>[]>`
        WITH lost AS (
          UPDATE links SET outcome = ${JSON.stringify({ kind: 'outcome_unknown' })}::text::jsonb, state = 'finished',
            ${eraseToken(tx)}, updated_at = clock_timestamp()
          WHERE token_hash = ${tokenHash} AND state = 'exchanging' RETURNING token_hash, user_id, outcome
        ), over AS (
          DELETE FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash} AND EXISTS (
            SELECT FROM links WHERE token_hash = ${tokenHash} AND state IN ('exchanging', 'finished'))
        ), told AS (
          INSERT INTO alerts (kind, key, detail)
          SELECT 'link_outcome_unknown', token_hash, jsonb_build_object('token_hash', token_hash, 'user_id', user_id)
          FROM lost ON CONFLICT DO NOTHING
        )
        SELECT coalesce((SELECT outcome FROM lost), l.outcome) AS outcome FROM links l WHERE l.token_hash = ${tokenHash}`;
        return firstOf(rows);
      });
      if (row === undefined) throw new Failure('BAD_REQUEST', 'no link is stored under this hash');
      return row.outcome;
    },

    async finish(tokenHash, outcome) {
      const linked = outcome.kind === 'linked';
      return sql.begin(async (tx) => {
        // The Item before the link, as everywhere.
        await tx`
          SELECT FROM items WHERE item_id = (SELECT item_id FROM links WHERE token_hash = ${tokenHash}) FOR NO KEY UPDATE`;
        const row = firstOf(
          await tx<Selected<typeof finishing>[]>`
          SELECT ${finishing.list(tx)} FROM links WHERE token_hash = ${tokenHash} FOR NO KEY UPDATE`,
        );
        if (row === undefined) throw new Failure('BAD_REQUEST', 'no link is stored under this hash');
        if (row.outcome !== null) {
          // The answer of an earlier try was lost, and since then it may have been said that the link is stuck.
          await waitsNotLong(tx);
          await tx`DELETE FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash}`;
          return row.outcome;
        }
        const item = firstOf(
          await tx<Selected<typeof end>[]>`
          SELECT ${end.list(tx)} FROM items WHERE item_id = ${row.item_id}`,
        );
        const own = linked && outcome.item_id === row.item_id;
        const admitted = item?.admitted === true;
        // Of one that was the user's, and is no more, any end is better than none.
        const fits =
          row.state === 'exchanged'
            ? own
              ? admitted
              : !admitted || item.removed
            : row.state === 'received' && !linked;
        if (!fits) throw new Failure('BAD_REQUEST', 'the link is not where this outcome could end it');
        await finishWith(tx, tokenHash, outcome);
        if (row.state === 'exchanged') {
          // Committed with the answer: whoever dies now, the sweep finds what is left to be done.
          await tx`
            UPDATE items SET removal_requested_at = coalesce(removal_requested_at, clock_timestamp())
            WHERE item_id = ${row.item_id} AND admitted_at IS NULL AND removed_at IS NULL`;
        }
        return outcome;
      });
    },

    async beginDiscard(itemId) {
      const begun = await sql`
        UPDATE items SET removal_requested_at = coalesce(removal_requested_at, clock_timestamp())
        WHERE item_id = ${itemId} AND admitted_at IS NULL AND removed_at IS NULL RETURNING 1`;
      return begun.length > 0;
    },

    async discardItem(itemId) {
      await withShortWaits(sql, async (tx) => {
        await tx`
        WITH over AS (
          DELETE FROM alerts WHERE kind = 'link_stuck' AND key = (SELECT token_hash FROM items WHERE item_id = ${itemId})
        ),
        discarded AS (
          UPDATE items SET removed_at = clock_timestamp(), access_token_key_id = NULL, access_token_data_key = NULL,
            access_token_ciphertext = NULL, next_due_at = NULL, numbers_due_at = NULL
          WHERE item_id = ${itemId} AND admitted_at IS NULL AND removed_at IS NULL
          RETURNING item_id
        )
        UPDATE webhooks w SET outcome = 'ignored', reason = 'item_removed', settled_at = clock_timestamp()
        FROM discarded d WHERE w.item_id = d.item_id AND w.outcome = 'pending'`;
      });
    },
  };
}
