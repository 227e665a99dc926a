import type { NameOf } from '../selection.js';
import type { items } from '../schema.js';

/** Where an Item's row holds its access token, for a selection. */
export const accessToken = {
  key_id: 'access_token_key_id',
  data_key: 'access_token_data_key',
  ciphertext: 'access_token_ciphertext',
} as const satisfies Record<string, NameOf<typeof items>>;
