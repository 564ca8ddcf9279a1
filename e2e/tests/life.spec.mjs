// What becomes of a connection: used, renamed, switched, disabled, revoked, deleted.

import { demo } from '../lib/jackfield.mjs';
import { at, connectedAs, expect, signIn, test } from '../lib/browser.mjs';

let jackfield;
test.beforeAll(async () => {
  jackfield = await demo();
});
test.afterAll(() => jackfield?.stop());

/** A connection by the Sandbox's API key, with these accounts, its page open. */
async function open(page, name, accounts = ['Ada']) {
  const link = await jackfield.api.connection({ connector: 'sandbox_api_key', name });
  for (const account of accounts) {
    await jackfield.api.connect(link, { api_key: jackfield.people.ada.key }, { account_name: `${account} of ${name}` });
  }
  await signIn(page, jackfield, jackfield.founder, `/console/connections/${link}`);
  await at(page, name);
  return link;
}

const tab = (page, name) => page.getByRole('main').getByRole('navigation').getByRole('link', { name });
const news = (page) => page.locator('p[role=status]');

test('every tab of a connection is there', async ({ page }) => {
  const link = await open(page, 'Tabs');
  for (const [name, path] of [['Playground', 'playground'], ['Usage', 'usage'], ['Calls', 'calls'], ['History', 'history'], ['Settings', 'settings']]) {
    await tab(page, name).click();
    await expect(page).toHaveURL(`${jackfield.url}/console/connections/${link}/${path}`);
    await at(page, 'Tabs');
    await expect(tab(page, name)).toHaveAttribute('aria-current', 'page');
  }
});

test('a call from the playground, and where it is seen', async ({ page }) => {
  await open(page, 'Tried');
  await tab(page, 'Playground').click();
  await page.getByLabel('Path or URL').fill('/companies');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByRole('heading', { name: 'Answer' })).toBeVisible();
  await expect(page.getByRole('status').filter({ hasText: '200' })).toBeVisible();
  await expect(page.getByLabel('Path or URL')).toHaveValue('/companies');
  await page.getByLabel('Path or URL').fill('/no/such/thing');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByRole('status').filter({ hasText: '404' })).toBeVisible();
  await page.getByLabel('Path or URL').fill('https://elsewhere.example/');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await tab(page, 'Calls').click();
  // Calls are written down a moment later.
  await expect(async () => {
    await page.reload();
    await expect(page.getByRole('main')).toContainText('/no/such/thing', { timeout: 500 });
  }).toPass();
});

test('an account is renamed, and another one serves in its place', async ({ page }) => {
  await open(page, 'Switched', ['First', 'Second']);
  await page.getByRole('link', { name: 'First of Switched' }).click();
  await at(page, 'First of Switched');
  await page.getByLabel('Account name').fill('Renamed');
  await page.getByRole('button', { name: 'Rename' }).click();
  await expect(page.getByRole('main')).toContainText('Renamed');
  await page.getByRole('button', { name: 'Switch' }).click();
  await expect(news(page)).toBeVisible();
  await page.goto(`${jackfield.url}/console/connections/switched`);
  await expect(page.getByRole('row', { name: /Production/ })).toContainText('Renamed');
});

test('it is disabled and enabled again', async ({ page }) => {
  await open(page, 'Paused');
  await page.getByRole('button', { name: 'Disable' }).click();
  await expect(page.getByRole('heading', { name: 'Disabled' })).toBeVisible();
  const call = { method: 'GET', url: '/companies', environment: 'production' };
  await expect(jackfield.api.post('/v1/connections/paused/invoke', call)).rejects.toThrow(/disabled/);
  await page.getByRole('button', { name: 'Enable' }).click();
  await expect(page.getByRole('heading', { name: 'Disabled' })).toHaveCount(0);
  await jackfield.api.post('/v1/connections/paused/invoke', call);
});

test('an account is authorized again', async ({ page }) => {
  await open(page, 'Renewed');
  await page.getByRole('link', { name: 'Ada of Renewed' }).first().click();
  await page.getByRole('link', { name: 'Reauthorize' }).click();
  await at(page, 'Authorize Renewed again');
  await page.getByLabel('API key').fill(jackfield.people.ada.key);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await connectedAs(page, 'Ada of Renewed');
});

test('an account is revoked, after its consequences are said', async ({ page }) => {
  await open(page, 'Revoked');
  await page.getByRole('link', { name: 'Ada of Revoked' }).first().click();
  await page.getByRole('link', { name: 'Revoke', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'What will happen' })).toBeVisible();
  await page.getByRole('main').getByRole('button', { name: /Revoke/ }).click();
  await page.goto(`${jackfield.url}/console/connections/revoked`);
  await expect(page.getByRole('main')).not.toContainText('Ada of Revoked');
});

test('it is deleted by whoever types its name', async ({ page }) => {
  const link = await open(page, 'Ended');
  await page.getByRole('link', { name: 'Delete' }).click();
  const remove = page.getByRole('main').getByRole('button', { name: /Delete/ });
  const typed = page.getByLabel('Link name');
  await typed.fill('something_else');
  await remove.click();
  await expect(typed).toHaveAttribute('aria-invalid', 'true');
  await typed.fill(link);
  await remove.click();
  await at(page, 'Connections');
  await expect(news(page)).toBeVisible();
  await expect(page.getByRole('main').getByRole('link', { name: 'Ended' })).toHaveCount(0);
});

test('settings that somebody else changed meanwhile are not overwritten', async ({ context, page }) => {
  await open(page, 'Changed twice');
  await tab(page, 'Settings').click();
  const other = await context.newPage();
  await other.goto(page.url());
  await other.getByLabel('Display name').fill('Changed first');
  await other.getByRole('button', { name: 'Save' }).click();
  await expect(news(other)).toBeVisible();
  await page.getByLabel('Display name').fill('Changed last');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByLabel('Display name')).toHaveValue('Changed last');
});
