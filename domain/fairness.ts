import { fnv1a } from './fnv1a.js';

/**
 * The key by which Temporal shares a queue fairly among users. It takes 64 bytes, and a user id may have 512: so it is always a
 * hash. Two users who meet in one key share one place in the queue and nothing else.
 */
export const fairnessKey = (userId: string): string => fnv1a(userId);
