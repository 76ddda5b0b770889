// SPDX-License-Identifier: Apache-2.0
import { createRunner, type Job } from './jobs';

const run = createRunner();

addEventListener('message', async (event: MessageEvent<{ id: number; job: Job }>) => {
  const { id, job } = event.data;
  try {
    const { value, transfer } = await run(job);
    postMessage({ id, value }, { transfer });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
