#!/usr/bin/env node
// The simulator is TypeScript and runs through tsx, as everything here does.
import { register } from 'tsx/esm/api';

register();
await import('../main.ts');
