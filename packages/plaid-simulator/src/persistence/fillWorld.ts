import { scheduleReport } from '../item/assetReport.js';
import { scheduleItem } from '../item/lifecycle.js';
import { planAbandonment } from '../link/ending.js';
import type { World } from '../world.js';
import type { Saved } from './restoreRecords.js';

/** Puts what was kept into a world that has the seed, clock and keys of it and nothing else yet, and plans what is to come. */
export function fillWorld(world: World, saved: Saved): void {
  for (const item of saved.items) world.add(item);
  for (const token of saved.publicTokens) world.publicTokens.set(token.token, token);
  for (const token of saved.linkTokens) world.linkTokens.set(token.token, token);
  for (const session of saved.linkSessions) world.linkSessions.set(session.id, session);
  for (const report of saved.reports) world.reports.set(report.token, report);
  world.deliveries.restore(saved.deliveries);
  for (const item of saved.items) scheduleItem(world, item);
  for (const session of saved.linkSessions) planAbandonment(world, session);
  for (const report of saved.reports) scheduleReport(world, report);
}
