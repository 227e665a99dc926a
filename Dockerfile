# syntax=docker/dockerfile:1
# Images of Sluice: `runtime` (the default) holds the processes of production, `simulator` and `kinesis` are for trials.
# No compile step: TypeScript is run by tsx (docs/decisions/0007). The version of Node is the newest that `npm test` runs on (tools/local/nodeReleases.mjs).

FROM node:24.21.0-slim AS base
WORKDIR /app
ENV NODE_ENV=production

FROM base AS dependencies
COPY package.json package-lock.json .npmrc ./
COPY packages/plaid-simulator/package.json ./packages/plaid-simulator/
# npm's last step applies them.
COPY patches ./patches
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force

FROM base AS application
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json tsconfig.json ./
COPY src ./src
COPY api ./api
COPY activities ./activities
COPY drizzle ./drizzle
COPY domain ./domain
COPY workflows ./workflows
# Made once here: each worker would spend seconds on it at its start.
RUN node --import tsx src/bundle.ts /app/workflow-bundle.js

FROM base AS simulator
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json tsconfig.json ./
COPY packages/plaid-simulator ./packages/plaid-simulator
# A named volume takes the owner of the folder that it is mounted on.
RUN mkdir /data && chown node:node /data
USER node
EXPOSE 8290
CMD ["node", "--import", "tsx", "packages/plaid-simulator/src/main.ts", "--host", "0.0.0.0", "--port", "8290", "--state", "/data/world.json"]

# The emulator of the tests. It is a development package without dependencies of its own, hence not among the others.
FROM base AS kinesis-package
COPY package.json package-lock.json .npmrc ./
COPY packages/plaid-simulator/package.json ./packages/plaid-simulator/
RUN npm ci --include=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force

FROM base AS kinesis
COPY --from=kinesis-package /app/node_modules/kinesis-local /app
RUN mkdir /data && chown node:node /data
USER node
EXPOSE 4567
# Run from its own folder: it reads server.json from there.
CMD ["node", "main.js"]

FROM application AS runtime
ENV WORKFLOW_BUNDLE=/app/workflow-bundle.js
USER node
EXPOSE 8080 9464
# Node itself, no npm and no shell: SIGTERM reaches the program.
CMD ["node", "--import", "tsx", "src/server.ts"]
