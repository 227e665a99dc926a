/** The sort values of the last row of a page, as text. */
export type PageKey = string[];

export interface Page<Row> {
  rows: Row[];
  /** null at the end. */
  next: PageKey | null;
}

/** A page as clients get it. */
export interface TextPage {
  /** JSON texts in UTF-8, a comma between two. */
  rows: Uint8Array;
  /** null at the end. */
  next: PageKey | null;
}
