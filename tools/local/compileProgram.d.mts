/** Makes the processes that tests and fault runs start, as JavaScript; `folder` is made here. `entries`: by default what tests start. */
export function compileProgram(folder: string, entries?: readonly string[]): Promise<void>;
