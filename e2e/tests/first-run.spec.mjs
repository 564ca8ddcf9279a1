import { ALICE, PASSWORD, provider, serve } from '../lib/jackfield.mjs';
import { at, atProvider, connectedAs, create, expect, fillIn, popUp, test } from '../lib/browser.mjs';

test.describe.configure({ mode: 'serial' });

let jackfield;
let foreign;
test.beforeAll(async () => {
  jackfield = await serve({ fresh: true });
  foreign = await provider(jackfield);
});
test.afterAll(async () => {
  await foreign?.stop();
  await jackfield?.stop();
});

const founder = { email: 'grace@acme.example', password: PASSWORD };

test('from the set-up link to a connection that serves', async ({ page }) => {
  await page.goto(jackfield.setup);
  await at(page, 'Set up Jackfield');
  await page.getByLabel('Organization').fill('Acme');
  await page.getByLabel('Region').selectOption({ label: 'European Union' });
  await page.getByLabel('Your e-mail address').fill(founder.email);
  // What is wrong is said at its field, and the rest stays.
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Set up' }).click();
  await expect(page.getByLabel('Password')).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByLabel('Organization')).toHaveValue('Acme');
  await expect(page.getByLabel('Region')).toHaveValue('eu');
  await page.getByLabel('Password').fill(founder.password);
  await page.getByRole('button', { name: 'Set up' }).click();
  await at(page, 'Acme is set up');
  const key = (await page.locator('dd code').allTextContents()).find((text) => text.startsWith('jfp_'));
  expect(key, 'the key is shown').toBeTruthy();
  jackfield.api.key = key;

  // Signed in by it: the next link goes on at once.
  await page.getByRole('link', { name: 'Make the first connection' }).click();
  await at(page, 'What do you want to connect?');
  await jackfield.api.connector(foreign.connector({ name: 'Vendors Online' }));
  await create(page, jackfield, 'Vendors Online', 'Vendors', {
    fill: { 'Client id': foreign.parameters.client_id, 'Client secret': foreign.parameters.client_secret },
  });
  const popup = await popUp(page);
  await atProvider(popup, ALICE);
  await connectedAs(page, ALICE.email);

  const answer = await jackfield.api.post('/v1/connections/vendors/invoke', { method: 'GET', url: '/me', environment: 'production' });
  expect(JSON.stringify(answer)).toContain('sub-alice');
});

test('the set-up link is good once', async ({ page }) => {
  await page.goto(jackfield.setup);
  await expect(page.getByRole('button', { name: 'Set up' })).toHaveCount(0);
  await page.goto(jackfield.url);
  await at(page, 'Sign in');
  await fillIn(page, founder);
  await expect(page).toHaveURL(/\/console/);
});
