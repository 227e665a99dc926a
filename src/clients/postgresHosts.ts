/**
 * Which of several hosts a new connection asks first: each in turn, but those that failed the last connection to them behind the others, the
 * longest ago first. Of many connections that are opened at once, or while all others are busy, none meets a silent host twice.
 */
export class HostOrder {
  private made = 0;
  private failures = 0;
  /** Of a host by its place: which of all failures its last one was. */
  private readonly failed = new Map<number, number>();

  constructor(private readonly hosts: number) {}

  /** The place of the host that is asked first. */
  next(): number {
    const first = this.made;
    this.made += 1;
    const places = Array.from({ length: this.hosts }, (_, n) => (first + n) % this.hosts);
    return places.reduce((best, place) => (this.failureOf(place) < this.failureOf(best) ? place : best));
  }

  private failureOf(place: number): number {
    return this.failed.get(place) ?? 0;
  }

  hasFailed(place: number): void {
    this.failures += 1;
    this.failed.set(place, this.failures);
  }

  hasServed(place: number): void {
    this.failed.delete(place);
  }
}
