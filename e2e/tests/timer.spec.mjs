// A flow has its time, and it runs out before one's eyes.

import { ALICE, provider, serve } from '../lib/jackfield.mjs';
import { at, connectedAs, expect, popUp, signIn, test } from '../lib/browser.mjs';

let jackfield;
let foreign;
test.beforeAll(async () => {
  jackfield = await serve({ settings: { JACKFIELD_FLOW_TTL: '6' } });
  // Alice accepts as soon as a window comes.
  foreign = await provider(jackfield, { consent: 'auto' });
  await jackfield.api.connector(foreign.connector({ link_name: 'foreign' }));
});
test.afterAll(async () => {
  await foreign?.stop();
  await jackfield?.stop();
});

test('the ring reaches zero, the page says so, and trying again works', async ({ page }) => {
  await signIn(page, jackfield);
  await jackfield.api.connection({ connector: 'foreign', name: 'Timed', parameters: foreign.parameters });
  // No window comes the first time, so that nobody accepts.
  await page.addInitScript(() => {
    if (location.pathname.endsWith('/authorize')) window.open = () => null;
  });
  await page.goto(`${jackfield.url}/console/connections/timed/authorize`);
  await page.getByRole('button', { name: 'Authorize', exact: true }).click();
  await at(page, 'Waiting for you at Foreign');
  const ring = page.getByRole('timer');
  const seen = new Set();
  await expect.poll(async () => {
    const text = await ring.textContent({ timeout: 500 }).catch(() => '');
    if (text) seen.add(Number.parseInt(text, 10));
    return seen.size;
  }, { message: 'it counts', intervals: [100] }).toBeGreaterThan(2);
  for (const left of seen) expect(left).toBeLessThanOrEqual(6);
  await at(page, 'The time is over');
  await expect(ring).toHaveCount(0);
  await popUp(page, 'Try again');
  await connectedAs(page, ALICE.email);
});

test('without JavaScript the page says so when it is looked at again', async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, jackfield);
  await jackfield.api.connection({ connector: 'foreign', name: 'Unscripted', parameters: foreign.parameters });
  await page.goto(`${jackfield.url}/console/connections/unscripted/authorize`);
  await page.getByRole('button', { name: 'Authorize', exact: true }).click();
  await at(page, 'Waiting for you at Foreign');
  await expect(async () => {
    await page.reload();
    await at(page, 'The time is over');
  }).toPass({ timeout: 20_000 });
  await context.close();
});
