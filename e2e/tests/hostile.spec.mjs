// Names that are code wherever they are not escaped, on every page of `pages.mjs`. That nothing of it runs is what each
// test watches for by itself (`guard` in lib/browser.mjs); here the names have to be there to be read, too.

import { PAGES, address, furnish, nameOf } from '../pages.mjs';
import { demo } from '../lib/jackfield.mjs';
import { HOSTILE, at, expect, signIn, test } from '../lib/browser.mjs';

const LONG = 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft';
const hostile = (name, most = 200) => `${name} ${HOSTILE} ${LONG}`.slice(0, most);

let jackfield;
let world;
test.beforeAll(async () => {
  jackfield = await demo();
  world = await furnish(jackfield, hostile);
});
test.afterAll(() => jackfield?.stop());

async function visit(page, entry) {
  await page.goto(jackfield.url + address(entry, world));
  await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
  expect.soft(await page.locator('img:not(.brand-logo)').count(), `${nameOf(entry)}: no element came of a name`).toBe(0);
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect.soft(wide, `${nameOf(entry)}: wider than its window with long names`).toBeLessThanOrEqual(0);
  await page.setViewportSize({ width: 1280, height: 900 });
}

// So many pages a test, so that more pages make more tests and none that takes too long.
const AT_ONCE = 25;

for (const who of ['nobody', 'founder', 'user', 'developer']) {
  const all = PAGES.filter((one) => (one.who ?? 'founder') === who);
  for (let from = 0; from < all.length; from += AT_ONCE) {
    test(`nothing of it runs on the pages of ${who}, from ${nameOf(all[from])}`, async ({ page }) => {
      test.slow();
      if (who !== 'nobody') await signIn(page, jackfield, who === 'founder' ? jackfield.founder : world[who]);
      for (const entry of all.slice(from, from + AT_ONCE)) await visit(page, entry);
    });
  }
}

test('names are read as they were typed', async ({ page }) => {
  await signIn(page, jackfield);
  await expect(page.getByRole('link', { name: hostile('vendors') })).toBeVisible();
  await page.goto(`${jackfield.url}/console/connections/vendors/accounts/${world.account}`);
  await at(page, hostile('Books of Ada'));
  await page.goto(`${jackfield.url}/console/connections/new?kind=custom`);
  await expect(page.getByText(hostile('A service of our own'))).toBeVisible();
  await page.goto(`${jackfield.url}/console/connections/of_described/authorize`);
  await expect(page.getByText(hostile('Where to find it'))).toBeVisible();
});

test('a connector cannot even be called so', async ({ page }) => {
  await signIn(page, jackfield);
  const document = { name: `x${HOSTILE}`, base_url: jackfield.sandbox, auth: { type: 'basic' } };
  await expect(jackfield.api.post('/v1/connectors', document)).rejects.toThrow(/may hold letters, digits/);
  await page.goto(`${jackfield.url}/console/connectors/new`);
  await page.getByLabel('Name', { exact: true }).first().fill(HOSTILE);
  await page.getByRole('button', { name: 'Make the connector' }).click();
  await expect(page.getByLabel('Name', { exact: true }).first()).toHaveValue(HOSTILE);
});

test('typed into every field of the journey', async ({ page }) => {
  await signIn(page, jackfield);
  await page.goto(`${jackfield.url}/console/connections/new?q=${encodeURIComponent(HOSTILE)}`);
  await at(page, 'What do you want to connect?');
  await expect(page.getByLabel('Search by name or by what it does')).toHaveValue(HOSTILE);
  await page.goto(`${jackfield.url}/console/connections/new/sandbox_api_key`);
  await page.getByLabel('Display name').fill(HOSTILE);
  await page.getByLabel('Link name').fill(HOSTILE);
  await page.getByRole('button', { name: 'Create and authorize' }).click();
  await expect(page.getByLabel('Link name')).toHaveValue(HOSTILE);
  await page.getByLabel('Link name').fill('typed');
  await page.getByRole('button', { name: 'Create and authorize' }).click();
  await at(page, `Authorize ${HOSTILE}`);
  await page.locator('#f-account-name').fill(HOSTILE);
  await page.getByLabel('API key').fill(HOSTILE);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.locator('#f-account-name')).toHaveValue(HOSTILE);
  await page.getByLabel('API key').fill(jackfield.people.ada.key);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await at(page, `Connected as ${HOSTILE}`);
  await page.goto(`${jackfield.url}/console/connections/typed/playground`);
  await page.getByLabel('Path or URL').fill(`/${HOSTILE}`);
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByLabel('Path or URL')).toHaveValue(`/${HOSTILE}`);
});

test('addresses made up by somebody', async ({ page }) => {
  await signIn(page, jackfield);
  const code = encodeURIComponent(HOSTILE);
  for (const path of [
    `/signin?next=${code}`, '/signin?next=javascript:alert(1)', `/console/connections?q=${code}&level=${code}&cursor=${code}`, `/console/connections/${code}`,
    `/console/connections/new/${code}`, `/console/connections/new?category=${code}&kind=${code}`, `/console/connections/vendors/connected?authorization=${code}`,
    `/console/connections/vendors/authorize?environment=${code}&replaces=${code}`, `/console/flows/${code}`, `/flows/${code}/start?ticket=${code}`,
    `/oauth/callback?state=${code}&code=${code}`, `/oauth/callback?error=${code}&error_description=${code}`, `/invitations?token=${code}`, `/setup?token=${code}`,
  ]) {
    const answer = await page.goto(jackfield.url + path);
    expect.soft(answer.status(), path).toBeLessThan(500);
    expect.soft(await page.locator('img:not(.brand-logo)').count(), path).toBe(0);
  }
});
