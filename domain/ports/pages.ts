/** The sort values of the last row of a page, as text. */
export type PageKey = string[];

export interface Page<Row> {
  rows: Row[];
  /** null at the end. */
  next: PageKey | null;
}
