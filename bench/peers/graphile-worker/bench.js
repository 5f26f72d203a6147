// graphile-worker on Postgres: 24 jobs at once, from a local queue of 500.
'use strict';

const { Logger, makeWorkerUtils, run } = require('graphile-worker');
const { dependencies: { 'graphile-worker': version } } = require('./package.json');

const BULK = 1000;
const CONCURRENCY = 24;
const LOCAL_QUEUE = 500;
const IN_FLIGHT = 64;

const connectionString = process.env.DATABASE_URL;
const jobs = Number(process.env.JOBS);
const logger = new Logger(() => () => {});

const seconds = () => Number(process.hrtime.bigint()) / 1e9;

// The payload of all programs of the bench: 200 bytes of JSON.
function payload() {
  const empty = { sent_ns: 0, text: '' };
  return { ...empty, text: 'x'.repeat(200 - JSON.stringify(empty).length) };
}

async function main() {
  if (process.argv[2] !== 'throughput') throw new Error('usage: bench.js throughput, with DATABASE_URL and JOBS in the environment');
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();

  const oneByOne = Math.min(jobs, 10000);
  let left = oneByOne;
  let start = seconds();
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0) await utils.addJob('bench', payload());
  }));
  const single = oneByOne / (seconds() - start);

  start = seconds();
  for (let sent = 0; sent < jobs; sent += BULK) {
    await utils.addJobs(Array.from({ length: BULK }, () => ({ identifier: 'bench', payload: payload() })));
  }
  const bulk = jobs / (seconds() - start);

  const total = oneByOne + jobs;
  let done = 0;
  start = seconds();
  await new Promise((resolve, reject) => {
    const taskList = { bench: async () => { if (++done === total) resolve(); } };
    const worker = { concurrentJobs: CONCURRENCY, localQueue: { size: LOCAL_QUEUE }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
    run({ connectionString, concurrency: CONCURRENCY, noHandleSignals: true, logger, preset: { worker }, taskList }).catch(reject);
  });
  console.log(JSON.stringify({ version, single, bulk, process: total / (seconds() - start) }));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
