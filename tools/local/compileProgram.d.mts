/** Makes the processes that tests and fault runs start, as JavaScript; `folder` is made here. */
export function compileProgram(folder: string): Promise<void>;
