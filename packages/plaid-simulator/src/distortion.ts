import { z } from 'zod';

/**
 * How an object that is sent differs from the one there is. Places are names with dots between them, entries of a list by their
 * number: `balances.current`, `counterparties.0.name`.
 */
export interface Distortion {
  /** What stands at these places instead; objects that lead there are made where there are none. */
  set?: Record<string, unknown> | undefined;
  /** Places that are not there. */
  without?: string[] | undefined;
  /** Sent in place of the whole object. */
  as?: unknown;
}

const place = z
  .string()
  .min(1)
  .refine((text) => !text.split('.').includes('__proto__'), 'is no place of a JSON object');

export const distortionFields = {
  set: z.record(place, z.unknown()).optional(),
  without: z.array(place).optional(),
  as: z.unknown().optional(),
};

/** Does it change anything? One that does not makes the object whole again. */
export function distorts({ set, without, as }: Distortion): boolean {
  return as !== undefined || Object.keys(set ?? {}).length > 0 || (without ?? []).length > 0;
}

/** The object as it is sent. Its type is what it should be: that it may be something else is what a distortion is for. */
export function distort<T>(value: T, distortion: Distortion | undefined): T {
  if (!distortion) return value;
  if (distortion.as !== undefined) return distortion.as as T;
  const copy = structuredClone(value) as unknown;
  for (const [at, put] of Object.entries(distortion.set ?? {})) {
    const [object, name] = placeIn(copy, at, true);
    if (object) object[name] = put;
  }
  for (const at of distortion.without ?? []) {
    const [object, name] = placeIn(copy, at, false);
    if (Array.isArray(object)) object.splice(Number(name), 1);
    else if (object) delete object[name];
  }
  return copy as T;
}

type Open = Record<string, unknown>;

/** The object or list that a place is in, and the name there; `make`: what leads there comes to be. */
function placeIn(root: unknown, at: string, make: boolean): [Open | null, string] {
  const names = at.split('.');
  const last = names.pop() ?? '';
  let object = root;
  for (const name of names) {
    if (!isOpen(object)) return [null, last];
    if (make && !isOpen(object[name])) object[name] = {};
    object = object[name];
  }
  return [isOpen(object) ? object : null, last];
}

function isOpen(value: unknown): value is Open {
  return typeof value === 'object' && value !== null;
}
