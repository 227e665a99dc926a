import { nextStep as nextStepBy } from '../../../domain/item/nextStep.js';
import type { Policy } from '../../../domain/item/policy.js';
import { defaultPolicy } from '../../../domain/item/policy.js';
import { reduce as reduceBy, stateFrom as stateFromBy } from '../../../domain/item/reduce.js';
import type { Rules } from '../../../domain/item/rules.js';
import type { ItemEvent, ItemSnapshot, ItemState, Step } from '../../../domain/item/state.js';

/** The pure core by the default pace, with every change of the code known. */
export const rules: Rules = { policy: defaultPolicy, patches: {} };

export const reduce = (state: ItemState, event: ItemEvent, now: number): ItemState =>
  reduceBy(state, event, rules, now);

export const nextStep = (state: ItemState, now: number): Step => nextStepBy(state, rules, now);

export const stateFrom = (snapshot: ItemSnapshot, policy: Policy, now: number): ItemState =>
  stateFromBy(snapshot, { ...rules, policy }, now);
