// A migrator in a process of its own, to be killed: <database URL> <folder> <options as JSON>.
import { migrate } from '../../drizzle/migrate.js';
import type { ProcessOptions } from './database.js';

const [url = '', folder = '', options = '{}'] = process.argv.slice(2);
await migrate(url, { ...(JSON.parse(options) as ProcessOptions), folder });
