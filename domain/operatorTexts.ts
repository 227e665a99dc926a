import { shortened } from './shortened.js';

/** Temporal takes 400 bytes for a summary, JSON and all. */
const longestSummary = 300;
/** What a keyword of Temporal's own SQL tables holds, in characters. */
const longestKeyword = 255;

/** A workflow's summary as Temporal takes it. */
export const summary = (text: string): string => shortened(text, longestSummary);

/** An id as the value of a search attribute. */
export const keyword = (id: string): string =>
  [...id].length <= longestKeyword ? id : shortened(id, longestKeyword);
