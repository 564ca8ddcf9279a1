// The connect pages: for people who never open the console.

import { demo } from '../lib/jackfield.mjs';
import { HOSTILE, at, atSandbox, connectedAs, expect, signIn, test } from '../lib/browser.mjs';

let jackfield;
let person;
test.beforeAll(async () => {
  jackfield = await demo();
  const { api } = jackfield;
  await api.connection({ connector: 'sandbox', name: 'By OAuth', link_name: 'by_oauth', level: 'user' });
  await api.connection({ connector: 'sandbox_api_key', name: 'By key', link_name: 'by_key', level: 'user' });
  await api.connection({ connector: 'sandbox_api_key', name: 'For everyone', link_name: 'for_everyone' });
  person = await api.person('Una', 'user');
});
test.afterAll(() => jackfield?.stop());

async function serves(link) {
  await person.api.post(`/v1/connections/${link}/invoke`, { method: 'GET', url: '/companies', environment: 'production' });
}

test('somebody connects his account by OAuth', async ({ page }) => {
  await signIn(page, jackfield, person, '/connect/by_oauth?application=vendor_portal');
  await at(page, /^Connect your Sandbox to /);
  await page.getByRole('button', { name: 'Continue to Sandbox' }).click();
  await atSandbox(page, jackfield.people.ada);
  await connectedAs(page, jackfield.people.ada.email);
  await serves('by_oauth');
});

test('who says no may try again', async ({ page }) => {
  await signIn(page, jackfield, person, '/connect/by_oauth');
  await page.getByRole('button', { name: 'Continue to Sandbox' }).click();
  await atSandbox(page, jackfield.people.ada, 'Deny');
  await at(page, 'Sandbox was not connected');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await connectedAs(page, jackfield.people.ada.email);
});

test('somebody connects his account by a key', async ({ page }) => {
  await signIn(page, jackfield, person, '/connect/by_key');
  await at(page, /^Connect your Sandbox: API key to /);
  await page.getByLabel('API key').fill(HOSTILE);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(page.getByRole('alert').or(page.locator('.error')).first()).toBeVisible();
  await page.getByLabel('API key').fill(jackfield.people.ada.key);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await connectedAs(page, jackfield.people.ada.email);
  await serves('by_key');
});

test('nobody is asked for what he may not give', async ({ page }) => {
  await signIn(page, jackfield, person, '/connect/for_everyone');
  await at(page, /This is not yours to do|There is nothing here/);
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('somebody connects his account by OAuth', async ({ page }) => {
    await signIn(page, jackfield, person, '/connect/by_oauth');
    await page.getByRole('button', { name: 'Continue to Sandbox' }).click();
    await atSandbox(page, jackfield.people.lin);
    await connectedAs(page, jackfield.people.lin.email);
  });
});
