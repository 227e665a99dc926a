import { LAST_INSTANT_MS } from './calendar.js';

/** The whole state of a simulated clock: simulated time is `simBase + (real - realBase) * scale`. */
export interface ClockState {
  simBase: number;
  realBase: number;
  scale: number;
}

/**
 * Simulated time. It runs with real time multiplied by a scale and can be moved forward, never back. Only what Plaid's clients
 * compare with their own clock (JWT `iat`, key times, link-token expiry) uses `realNow`.
 */
export class SimulatedClock {
  private simBase: number;
  private realBase: number;
  private rate: number;

  constructor(start: Partial<ClockState> = {}) {
    this.realBase = start.realBase ?? Date.now();
    this.simBase = start.simBase ?? this.realBase;
    this.rate = start.scale ?? 1;
  }

  get scale(): number {
    return this.rate;
  }

  now(): number {
    return Math.min(LAST_INSTANT_MS, this.simBase + (Date.now() - this.realBase) * this.rate);
  }

  realNow(): number {
    return Date.now();
  }

  /** Real milliseconds until a simulated instant; infinite on a clock that stands still. */
  realDelayUntil(simulated: number): number {
    const rest = simulated - this.now();
    if (rest <= 0) return 0;
    return this.rate > 0 ? rest / this.rate : Infinity;
  }

  /** Moves time forward to this instant; an instant in the past changes nothing. */
  jumpTo(simulated: number): void {
    const real = Date.now();
    this.simBase = Math.max(simulated, this.now());
    this.realBase = real;
  }

  setScale(scale: number): void {
    const real = Date.now();
    this.simBase = this.now();
    this.realBase = real;
    this.rate = scale;
  }

  /** Begins anew: the one way in which time can go back. */
  restart(start: Partial<ClockState>): void {
    this.realBase = start.realBase ?? Date.now();
    this.simBase = start.simBase ?? this.realBase;
    this.rate = start.scale ?? this.rate;
  }

  /** As of this moment: `simBase` is the simulated time now. */
  state(): ClockState {
    return { simBase: this.now(), realBase: this.realNow(), scale: this.rate };
  }
}
