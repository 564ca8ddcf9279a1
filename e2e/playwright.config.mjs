import process from 'node:process';

import { defineConfig } from '@playwright/test';

const chromium = process.env.JACKFIELD_CHROMIUM || '/usr/bin/chromium';

export default defineConfig({
  testDir: 'tests',
  testMatch: '*.spec.mjs',
  outputDir: process.env.JACKFIELD_E2E_RESULTS || 'results',
  // Each file has a server of its own; its tests run one after the other there.
  fullyParallel: false,
  workers: 2,
  // A test that passes at the second go has found something.
  retries: 0,
  forbidOnly: true,
  timeout: 45_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: {
    browserName: 'chromium',
    launchOptions: {
      executablePath: chromium,
      // The sandbox of the browser does not work for root, and CI is root in its container.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
    viewport: { width: 1280, height: 900 },
    screenshot: { mode: 'only-on-failure', fullPage: true },
    actionTimeout: 10_000,
    navigationTimeout: 15_000,
    locale: 'en-GB',
    timezoneId: 'UTC',
  },
});
