export interface UserExport {
  /**
   * Everything that is held of the user, of one moment: lines of JSON in `emit`ted pieces, each line whole and ended. The next piece is
   * read when `emit` has resolved; that it rejects ends the export and the reading. Secrets and account numbers are not among it.
   */
  write(userId: string, emit: (lines: string) => Promise<void>): Promise<void>;
}
