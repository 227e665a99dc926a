/** All workflows of the worker's bundle. An exported name is a workflow type: a wire name. */
export { checkUser } from './checkUser.js';
export { cleanUp } from './cleanUp.js';
export { endpoint } from './endpoint.js';
export { item } from './item.js';
export { linkItem } from './linkItem.js';
export { pageHistory } from './pageHistory.js';
export { refreshInstitutionStatus } from './refreshInstitutionStatus.js';
export { remineItem } from './remineItem.js';
export { sweep } from './sweep.js';
export { syncInstitutions } from './syncInstitutions.js';
