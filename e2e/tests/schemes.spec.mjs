// Each scheme that a person can authorize by, against the Sandbox.

import { demo } from '../lib/jackfield.mjs';
import { at, atSandbox, connectedAs, create, expect, heading, popUp, signIn, test } from '../lib/browser.mjs';

let jackfield;
test.beforeAll(async () => {
  jackfield = await demo();
});
test.afterAll(() => jackfield?.stop());

/** What is connected serves a call. */
async function serves(link) {
  const call = { method: 'GET', url: '/companies', environment: 'production', detailed: true };
  const answer = await jackfield.api.post(`/v1/connections/${link}/invoke`, call);
  expect(answer.status).toBe(200);
}

for (const [connector, link] of [['Sandbox', 'by_oauth'], ['Sandbox: public client', 'by_public'], ['Sandbox: OAuth 1', 'by_oauth1']]) {
  test(`${connector}: a window opens, somebody accepts, and the page says who`, async ({ page }) => {
    await signIn(page, jackfield);
    await create(page, jackfield, connector, link);
    const popup = await popUp(page);
    await at(page, `Waiting for you at ${connector}`);
    await expect(page.getByRole('timer')).toBeVisible();
    await atSandbox(popup, jackfield.people.ada);
    await connectedAs(page, jackfield.people.ada.email);
    await expect.poll(() => popup.isClosed(), 'the window closes by itself').toBe(true);
    await serves(link);
  });
}

test('Sandbox: with a company: one is chosen in the window', async ({ page }) => {
  await signIn(page, jackfield);
  await create(page, jackfield, 'Sandbox: with a company', 'by_company');
  const popup = await popUp(page);
  await atSandbox(popup, jackfield.people.ada);
  await at(popup, 'Which company?');
  await popup.getByRole('radio').first().check();
  await popup.getByRole('button', { name: 'Use this one' }).click();
  await connectedAs(page, jackfield.people.ada.email);
  await serves('by_company');
});

test('Sandbox: with a company: who closed the window chooses later', async ({ page }) => {
  await signIn(page, jackfield);
  await create(page, jackfield, 'Sandbox: with a company', 'chosen_later');
  const popup = await popUp(page);
  await atSandbox(popup, jackfield.people.ada);
  await at(popup, 'Which company?');
  await popup.close();
  await connectedAs(page, jackfield.people.ada.email);
  await page.getByRole('link', { name: 'Choose it now' }).click();
  await at(page, 'What this account is used for');
  await page.getByRole('radio').last().check();
  await page.getByRole('button', { name: 'Use this one' }).click();
  await expect(page.locator('p[role=status]')).toBeVisible();
  await serves('chosen_later');
});

test('Sandbox: API key: a wrong one is refused at its field, the right one connects', async ({ page }) => {
  await signIn(page, jackfield);
  await create(page, jackfield, 'Sandbox: API key', 'by_key');
  await page.getByLabel('Account name').fill('The key of Ada');
  await page.getByLabel('API key').fill('sbx_wrong');
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByLabel('API key')).toHaveValue('');
  await expect(page.getByLabel('Account name')).toHaveValue('The key of Ada');
  await page.getByLabel('API key').fill(jackfield.people.ada.key);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await at(page, 'Connected as The key of Ada');
  await serves('by_key');
});

test('Sandbox: Basic: user name and password connect', async ({ page }) => {
  await signIn(page, jackfield);
  await create(page, jackfield, 'Sandbox: Basic', 'by_basic');
  await page.getByLabel('User name').fill(jackfield.people.lin.email);
  await page.getByLabel('Password').fill(jackfield.people.lin.password);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await connectedAs(page, jackfield.people.lin.email);
  await serves('by_basic');
});

test('Sandbox: client credentials: nobody is asked for anything', async ({ page }) => {
  await signIn(page, jackfield);
  await create(page, jackfield, 'Sandbox: client credentials', 'by_client');
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(heading(page)).toHaveText(/^Connected as ./);
  await serves('by_client');
});

test('one environment is another account where the connection says so', async ({ page }) => {
  await signIn(page, jackfield);
  const link = await jackfield.api.connection({ connector: 'sandbox_api_key', name: 'Split', same_authorization: false });
  await page.goto(`${jackfield.url}/console/connections/${link}/authorize`);
  await at(page, 'Authorize Split');
  for (const word of ['Development', 'Stage', 'Production']) {
    await page.getByRole('checkbox', { name: word }).setChecked(word === 'Stage');
  }
  await page.getByLabel('API key').fill(jackfield.people.ada.key);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(heading(page)).toHaveText(/^Connected as ./);
  await expect(page.getByRole('list', { name: 'Environments' })).toHaveText('Stage');
});

test('where one authorization serves all environments, none can be left out', async ({ page }) => {
  await signIn(page, jackfield);
  await create(page, jackfield, 'Sandbox: API key', 'All three');
  for (const word of ['Development', 'Stage', 'Production']) {
    const box = page.getByRole('checkbox', { name: word });
    await expect(box).toBeChecked();
    await expect(box).toBeDisabled();
  }
});

test('what is authorized already is used again without going to the service', async ({ page }) => {
  await signIn(page, jackfield);
  const first = await jackfield.api.connection({ connector: 'sandbox_api_key', name: 'First use' });
  await jackfield.api.connect(first, { api_key: jackfield.people.ada.key }, { account_name: 'Shared account' });
  await create(page, jackfield, 'Sandbox: API key', 'Second use');
  await page.getByRole('button', { name: /^Use it here ?: Shared account$/ }).click();
  await at(page, 'Connected as Shared account');
  await serves('second_use');
});

test('a connector is tried before anybody uses it: with somebody who accepts, and nothing is kept', async ({ page }) => {
  const before = (await jackfield.api.get('/v1/connections')).items.length;
  await signIn(page, jackfield, jackfield.founder, '/console/connectors/sandbox');
  await page.getByRole('link', { name: 'Test', exact: true }).click();
  await at(page, 'Test Sandbox');
  await page.getByRole('button', { name: 'Try it' }).click();
  await expect(page.getByRole('status')).toContainText('So far it works');
  await page.getByRole('link', { name: 'Go to Sandbox' }).click();
  await atSandbox(page, jackfield.people.ada);
  await at(page, /^It works/);
  await expect(page.getByText(`The account would be called ${jackfield.people.ada.email}.`)).toBeVisible();
  await page.getByRole('link', { name: 'Back to Sandbox' }).click();
  await at(page, 'Sandbox');
  expect((await jackfield.api.get('/v1/connections')).items.length).toBe(before);
});

test('a key that is wrong is explained, and not shown', async ({ page }) => {
  await signIn(page, jackfield, jackfield.founder, '/console/connectors/sandbox_api_key/test');
  await page.getByLabel('API key').fill('sbx_key_of_nobody_at_all');
  await page.getByRole('button', { name: 'Try it' }).click();
  await expect(page.getByRole('status')).toContainText('It does not work yet');
  await expect(page.getByText('answered 401').first()).toBeVisible();
  expect(await page.content()).not.toContain('sbx_key_of_nobody_at_all');
});
