// Who sees what: the roles, and what each is spared.

import { demo } from '../lib/jackfield.mjs';
import { at, expect, heading, signIn, test } from '../lib/browser.mjs';

const REFUSED = /This is not yours to do|There is nothing here/;

let jackfield;
const people = {};
test.beforeAll(async () => {
  jackfield = await demo();
  const { api } = jackfield;
  await api.connection({ connector: 'sandbox_api_key', name: 'For everyone', level: 'admin' });
  await api.connection({ connector: 'sandbox_api_key', name: 'For each', level: 'user' });
  await api.connect('for_everyone', { api_key: jackfield.people.ada.key });
  for (const role of ['user', 'developer', 'admin']) people[role] = await api.person(`Una ${role}`, role);
});
test.afterAll(() => jackfield?.stop());

const main = (page) => page.getByRole('main');
const nav = (page) => page.getByRole('navigation', { name: 'Main' });

test('a user sees what he may use, and connects his own account there', async ({ page }) => {
  await signIn(page, jackfield, people.user);
  await expect(main(page).getByRole('link', { name: 'For each' })).toBeVisible();
  await expect(main(page)).not.toContainText('For everyone');
  await expect(page.getByRole('link', { name: 'New connection' })).toHaveCount(0);
  for (const name of ['Audit', 'Connectors']) await expect(nav(page).getByRole('link', { name })).toHaveCount(0);
  await page.goto(`${jackfield.url}/console/connections/for_each/authorize`);
  await page.getByLabel('API key').fill(jackfield.people.lin.key ?? jackfield.people.ada.key);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(heading(page)).toHaveText(/^Connected as ./);
  await expect(main(page)).toContainText('You');
});

test('a user is refused the pages of others', async ({ page }) => {
  await signIn(page, jackfield, people.user);
  for (const path of [
    '/console/connections/for_everyone',
    '/console/connections/for_everyone/authorize',
    '/console/connections/for_each/settings',
    '/console/connections/for_each/delete',
    '/console/connections/new/sandbox_api_key',
  ]) {
    const answer = await page.goto(jackfield.url + path);
    expect.soft([403, 404], path).toContain(answer.status());
    await expect.soft(heading(page), path).toHaveText(REFUSED);
  }
});

test('a developer makes connections, and authorizes none of level Administrator', async ({ page }) => {
  await signIn(page, jackfield, people.developer);
  await expect(main(page).getByRole('link', { name: 'For everyone' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'New connection' })).toBeVisible();
  await expect(nav(page).getByRole('link', { name: 'Connectors' })).toBeVisible();
  await expect(nav(page).getByRole('link', { name: 'Audit' })).toHaveCount(0);
  await page.goto(`${jackfield.url}/console/connections/for_everyone/authorize`);
  await expect(heading(page)).toHaveText(REFUSED);
});

test('an admin sees everything', async ({ page }) => {
  await signIn(page, jackfield, people.admin);
  for (const name of ['Audit', 'Connectors', 'Connections']) await expect(nav(page).getByRole('link', { name, exact: true })).toBeVisible();
  await page.goto(`${jackfield.url}/console/connections/for_everyone/authorize`);
  await at(page, 'Authorize For everyone');
});
