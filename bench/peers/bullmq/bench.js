// BullMQ: 100 jobs at once, jobs removed when they are done.
'use strict';

const { Queue, Worker } = require('bullmq');
const { dependencies: { 'bullmq': version } } = require('./package.json');

const IN_FLIGHT = 64;
const BULK = 1000;
const CONCURRENCY = 100;
const LATENCY_JOBS = 3000;
const INTERVAL_MS = 1;

const { hostname, port } = new URL(process.env.REDIS_URL);
const connection = { host: hostname, port: Number(port) };
const jobs = Number(process.env.JOBS);
const options = { removeOnComplete: true };

const seconds = () => Number(process.hrtime.bigint()) / 1e9;
const nanoseconds = () => Number(process.hrtime.bigint());

// The payload of all programs of the bench: 200 bytes of JSON.
function payload(sentNs = 0) {
  const empty = { sent_ns: sentNs, text: '' };
  return { ...empty, text: 'x'.repeat(200 - JSON.stringify(empty).length) };
}

async function throughput(queue) {
  const oneByOne = Math.min(jobs, 20000);
  let left = oneByOne;
  let start = seconds();
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0) await queue.add('bench', payload(), options);
  }));
  const single = oneByOne / (seconds() - start);

  start = seconds();
  for (let sent = 0; sent < jobs; sent += BULK) {
    await queue.addBulk(Array.from({ length: BULK }, () => ({ name: 'bench', data: payload(), opts: options })));
  }
  const bulk = jobs / (seconds() - start);

  const total = oneByOne + jobs;
  let done = 0;
  start = seconds();
  await new Promise((resolve) => {
    const run = async () => { if (++done === total) resolve(); };
    new Worker('bench', run, { connection, concurrency: CONCURRENCY });
  });
  return { version, single, bulk, process: total / (seconds() - start) };
}

async function latency(queue) {
  const latencies = [];
  const allRan = new Promise((resolve) => {
    const run = async (job) => {
      latencies.push((nanoseconds() - job.data.sent_ns) / 1000);
      if (latencies.length === LATENCY_JOBS) resolve();
    };
    new Worker('bench', run, { connection, concurrency: CONCURRENCY });
  });
  const start = seconds();
  for (let sent = 0; sent < LATENCY_JOBS; sent++) {
    // What a timer that came late has missed is made up for.
    while (seconds() < start + (sent * INTERVAL_MS) / 1000) await new Promise((resolve) => { setTimeout(resolve, 1); });
    await queue.add('bench', payload(nanoseconds()), options);
  }
  const rate = LATENCY_JOBS / (seconds() - start);
  await allRan;
  latencies.sort((a, b) => a - b);
  const percentile = (p) => latencies[Math.floor(latencies.length * p)];
  return { version, rate, p50_us: percentile(0.5), p99_us: percentile(0.99) };
}

async function main() {
  const figures = { throughput, latency }[process.argv[2]];
  if (!figures) throw new Error('usage: bench.js throughput|latency, with REDIS_URL and JOBS in the environment');
  const queue = new Queue('bench', { connection });
  await queue.waitUntilReady();
  console.log(JSON.stringify(await figures(queue)));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
