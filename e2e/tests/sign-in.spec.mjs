import { demo } from '../lib/jackfield.mjs';
import { HOSTILE, at, create, expect, fillIn, pick, signIn, test } from '../lib/browser.mjs';

let jackfield;
test.beforeAll(async () => {
  jackfield = await demo();
});
test.afterAll(() => jackfield?.stop());

test('in, and out', async ({ page }) => {
  await page.goto(jackfield.url);
  await at(page, 'Sign in');
  await fillIn(page, jackfield.founder);
  await expect(page).toHaveURL(/\/console/);
  await page.goto(`${jackfield.url}/console/connections`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await at(page, 'Sign in');
  await page.goto(`${jackfield.url}/console/connections`);
  await at(page, 'Sign in');
});

test('a wrong password keeps the address and says one thing', async ({ page }) => {
  await page.goto(`${jackfield.url}/signin`);
  await fillIn(page, { email: jackfield.founder.email, password: HOSTILE });
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByLabel('E-mail address')).toHaveValue(jackfield.founder.email);
  await expect(page.getByLabel('Password')).toHaveValue('');
});

test('one comes to the page that was asked for', async ({ page }) => {
  await signIn(page, jackfield, jackfield.founder, '/console/connections?level=user');
  await at(page, 'Connections');
  await expect(page.getByLabel('Level')).toHaveValue('user');
});

test('a session that ends in the middle costs nothing that was typed', async ({ page }) => {
  await signIn(page, jackfield);
  await pick(page, jackfield, 'Sandbox: API key');
  await page.getByLabel('Display name').fill('Typed before');
  await page.getByLabel('Link name').fill('typed_before');
  await page.getByRole('radio', { name: 'Any user' }).check();
  await jackfield.api.endSessions();
  await page.getByRole('button', { name: 'Create and authorize' }).click();
  await at(page, 'Sign in');
  await fillIn(page, jackfield.founder);
  await at(page, 'Configure Sandbox: API key');
  await expect(page.getByLabel('Display name')).toHaveValue('Typed before');
  await expect(page.getByLabel('Link name')).toHaveValue('typed_before');
  await expect(page.getByRole('radio', { name: 'Any user' })).toBeChecked();
  await page.getByRole('button', { name: 'Create and authorize' }).click();
  await at(page, 'Authorize Typed before');
});

test('a session that ends while one only looks leads back to the same page', async ({ page }) => {
  await signIn(page, jackfield);
  await jackfield.api.endSessions();
  await page.goto(`${jackfield.url}/console/connections/new?kind=custom`);
  await at(page, 'Sign in');
  await fillIn(page, jackfield.founder);
  await at(page, 'What do you want to connect?');
  expect(new URL(page.url()).search).toBe('?kind=custom');
});

test('the back button keeps what was typed', async ({ page }) => {
  await signIn(page, jackfield);
  await create(page, jackfield, 'Sandbox: API key', 'Kept');
  await page.goBack();
  await at(page, 'Configure Sandbox: API key');
  await expect(page.getByLabel('Display name')).toHaveValue('Kept');
});

test('what is refused keeps what was typed, and says so at its field', async ({ page }) => {
  await signIn(page, jackfield);
  await pick(page, jackfield, 'Sandbox: OAuth 1');
  await page.getByLabel('Display name').fill('Refused');
  await page.getByLabel('Link name').fill('No Such Name!');
  await page.getByRole('checkbox', { name: 'Always use the same authorization' }).uncheck();
  await page.getByRole('button', { name: 'Create and authorize' }).click();
  await expect(page.getByLabel('Link name')).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByLabel('Link name')).toHaveValue('No Such Name!');
  await expect(page.getByLabel('Display name')).toHaveValue('Refused');
  await expect(page.getByRole('checkbox', { name: 'Always use the same authorization' })).not.toBeChecked();
});

test('production is marked, and stays chosen', async ({ page }) => {
  await signIn(page, jackfield);
  const bar = page.getByRole('navigation', { name: 'Environment' });
  for (const word of ['Development', 'Stage', 'Production']) {
    await bar.getByRole('button', { name: word }).click();
    await expect(page.locator('html')).toHaveAttribute('data-environment', word.toLowerCase());
    await expect(bar.locator('[aria-current=true]')).toHaveText(word);
    await page.goto(`${jackfield.url}/console/connections/new`);
    await expect(page.locator('html')).toHaveAttribute('data-environment', word.toLowerCase());
    await page.goto(`${jackfield.url}/console/connections`);
  }
});

test('light and dark are remembered', async ({ page }) => {
  await signIn(page, jackfield);
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.getByRole('button', { name: 'Light' }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  const light = await background();
  await page.getByRole('button', { name: 'Dark' }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  expect(await background()).not.toBe(light);
  await page.goto(`${jackfield.url}/console/connections/new`);
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});
