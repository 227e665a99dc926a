/** What operators watch. Ages in seconds, 0 when there is nothing. */
export interface Figures {
  items: { status: string; history: string; count: number }[];
  unsentItems: number;
  oldestUnsentSeconds: number;
  pendingWebhooks: number;
  oldestPendingWebhookSeconds: number;
  overdueItems: number;
  /** Not deleted ones, by state. */
  endpoints: { state: string; count: number }[];
  /** For endpoints that are sent to. */
  pendingDeliveries: number;
  /** How late the latest of them is that could be sent. */
  oldestDueDeliverySeconds: number;
  alerts: { kind: string; count: number }[];
}

export interface FiguresStore {
  read(): Promise<Figures>;
}

/** Something that `/readyz` asks. Resolves when the dependency answers. */
export interface Probe {
  name: string;
  /** False for what the process can do without for a while: it is reported, and changes nothing. */
  needed: boolean;
  check(): Promise<void>;
}
