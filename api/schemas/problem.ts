import { z } from 'zod';

export const problemAnswer = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
    request_id: z.string(),
    errors: z
      .array(z.object({ in: z.string(), pointer: z.string(), detail: z.string() }))
      .optional()
      .meta({ description: 'Each fault of the request, by JSON pointer into the part named by `in`' }),
    plaid: z
      .object({ error_type: z.string(), error_code: z.string(), request_id: z.string().nullable() })
      .optional()
      .meta({ description: "Plaid's own error" }),
  })
  .meta({
    id: 'Problem',
    description: 'RFC 9457',
    examples: [
      {
        type: '/problems/invalid_request',
        title: 'The request does not fit its schema',
        status: 400,
        detail:
          'A field, query parameter or path segment is missing, unknown, of another type or out of range.',
        instance: '/v1/users/user-42/items',
        code: 'invalid_request',
        request_id: '7a0c5a57-1d5f-4a49-9a8b-0f7f4c1b8f0e',
        errors: [
          {
            in: 'body',
            pointer: '/public_token',
            detail: 'Invalid input: expected string, received undefined',
          },
        ],
      },
    ],
  });
