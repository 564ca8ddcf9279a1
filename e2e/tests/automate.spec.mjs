// From nothing to a vendor at the service, all of it clicked: an application, a form by the builder, a workflow by the editor, a record by the
// form, its run, and publication. Then the same at a provider that nobody here wrote.

import { demo, provider, serve } from '../lib/jackfield.mjs';
import { at, expect, signIn, test } from '../lib/browser.mjs';

/** Makes an application by its form. */
async function application(page, jackfield, name) {
  await page.goto(`${jackfield.url}/console/applications/new-application`);
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Make the application' }).click();
  await at(page, name);
  return new URL(page.url()).pathname;
}

/** Until a run is done, its page open. */
async function isDone(page, name) {
  await expect(async () => {
    await page.reload();
    await at(page, `${name} is done`);
  }).toPass();
}

test.describe('at the Sandbox', () => {
  let jackfield;
  test.beforeAll(async () => {
    jackfield = await demo();
    const { api, people } = jackfield;
    await api.connection({ connector: 'sandbox_api_key', name: 'Books', link_name: 'books' });
    await api.connect('books', { api_key: people.ada.key });
  });
  test.afterAll(() => jackfield?.stop());

  for (const [how, javaScriptEnabled, name] of [['with', true, 'Acme'], ['without', false, 'Bergmann']]) {
    test.describe(`${how} JavaScript`, () => {
      test.use({ javaScriptEnabled });

      test('an application is started from a template, and does what it says', async ({ page }) => {
        await signIn(page, jackfield, jackfield.founder, '/console/applications');
        await page.getByRole('link', { name: 'Start from a template' }).click();
        await at(page, 'Start from a template');
        await page.getByRole('main').getByRole('link', { name: /^.*Ticket form/ }).click();
        await at(page, 'Ticket form');
        await expect(page.getByRole('link', { name: 'Connect Jira' })).toBeVisible();
        await page.getByRole('link', { name: 'Templates', exact: true }).click();
        await page.getByRole('main').getByRole('link', { name: /^.*Vendor onboarding/ }).click();
        await at(page, 'Vendor onboarding');
        await expect(page.getByText('When a record of Vendors is created')).toBeVisible();
        await page.getByLabel('Name', { exact: true }).fill('');
        await page.getByRole('button', { name: 'Make the application' }).click();
        await expect(page.locator('.error')).toContainText('name');
        await page.getByLabel('Name', { exact: true }).fill(`Onboarding ${how}`);
        await page.getByLabel('The books').selectOption('books');
        await page.getByRole('button', { name: 'Make the application' }).click();
        await at(page, `Onboarding ${how} is ready to try`);
        await page.getByRole('link', { name: 'Fill in Vendors' }).click();
        await page.getByLabel('Vendor name').fill(`${name} from a template`);
        await page.getByLabel('E-mail address').fill('ada@acme.example');
        await page.getByRole('button', { name: 'Send' }).click();
        await expect(page.getByRole('status')).toContainText('Thank you');
        const wanted = encodeURIComponent(`${name} from a template`);
        await expect(async () => {
          const { total } = await jackfield.api.get(`/v1/proxy/books/vendors?display_name=${wanted}`);
          expect(total).toBe(1);
        }).toPass();
      });

      test('what somebody sends in is pushed, and is seen to be', async ({ page }) => {
        await signIn(page, jackfield, jackfield.founder, '/console/applications');
        await page.getByRole('button', { name: 'Development' }).click();
        const room = await application(page, jackfield, `Purchasing ${how}`);

        // A form, field by field.
        await page.getByRole('link', { name: 'Forms', exact: true }).click();
        await page.getByRole('link', { name: 'Make a form' }).click();
        await at(page, 'New form');
        await page.getByLabel('Name', { exact: true }).fill('Vendors');
        await page.getByRole('button', { name: 'Make the form' }).click();
        await expect(page.locator('.error')).toContainText('Say what is asked first');
        await page.getByLabel('First field').fill('Vendor name');
        await page.getByRole('button', { name: 'Make the form' }).click();
        await at(page, 'Vendors');
        await page.getByRole('link', { name: 'Edit Vendor name' }).click();
        await page.getByRole('checkbox', { name: 'Required' }).check();
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByRole('link', { name: 'Choice, all in view' }).click();
        await page.getByLabel('Label').fill('Kind');
        await page.getByLabel('Choices').fill('c | Company\nPerson');
        await page.getByRole('button', { name: 'Add the field' }).click();
        await page.getByRole('link', { name: 'Line of text', exact: true }).click();
        await page.getByLabel('Label').fill('Register number');
        await page.getByLabel('Show it').selectOption('only when Kind');
        await page.getByLabel('Value', { exact: false }).fill('Company');
        await page.getByRole('button', { name: 'Add the field' }).click();
        await expect(page.getByRole('list').filter({ hasText: 'Register number' }).first()).toContainText('Only if Kind is Company');
        await page.getByRole('button', { name: 'Up with Kind' }).click();
        await expect(page.getByRole('heading', { level: 3 }).first()).toContainText('Kind');

        // A workflow, part by part.
        await page.goto(`${jackfield.url}${room}/workflows`);
        await page.getByRole('link', { name: 'Make a workflow' }).click();
        await page.getByLabel('Name', { exact: true }).fill('Push vendors');
        await page.getByRole('radio', { name: 'Push to a service' }).check();
        await page.getByRole('button', { name: 'Continue' }).click();
        await at(page, 'Push through which connection?');
        await page.getByRole('main').getByRole('link', { name: /^Books/ }).click();
        await at(page, 'What is done there?');
        await page.getByRole('link', { name: /^Create a vendor/ }).click();
        await at(page, 'Push to a service');
        await expect(page.getByLabel('Display name', { exact: true })).toHaveValue('field:vendor_name');
        await expect(page.getByText('Proposed', { exact: true })).toHaveCount(1);
        await page.getByLabel('Display name', { exact: true }).selectOption('');
        await page.getByRole('button', { name: 'Make the workflow' }).click();
        await expect(page.locator('.error')).toContainText('is required by the service');
        await page.getByLabel('Display name', { exact: true }).selectOption({ label: 'Vendor name (line of text)' });
        await page.getByRole('button', { name: 'Make the workflow' }).click();
        await at(page, 'Push vendors');
        await expect(page.getByRole('table')).toContainText('Vendor name');

        // A record, by the form as people see it.
        await page.goto(`${jackfield.url}${room}/forms/vendors`);
        await page.getByRole('link', { name: 'Try it' }).click();
        await at(page, 'Vendors');
        const register = page.getByLabel('Register number');
        if (javaScriptEnabled) await expect(register).toBeHidden();
        else await expect(page.getByText('Only if Kind is Company:')).toBeVisible();
        await page.getByRole('radio', { name: 'Company' }).check();
        await register.fill('HRB 1');
        await page.getByLabel('Vendor name').fill(name);
        await page.getByRole('button', { name: 'Send' }).click();
        await expect(page.getByRole('status')).toContainText('Thank you');

        // Its run, and the vendor.
        await page.goto(`${jackfield.url}${room}/runs`);
        await page.getByRole('table').getByRole('link', { name: 'Push vendors' }).click();
        await isDone(page, 'Push vendors');
        await page.locator('summary').getByText('What was sent').click();
        await expect(page.getByText(`"DisplayName": "${name}"`).first()).toBeVisible();
        const { total } = await jackfield.api.get(`/v1/proxy/books/vendors?display_name=${name}`);
        expect(total).toBe(1);

        await page.goto(`${jackfield.url}${room}/publish`);
        await page.getByRole('button', { name: 'Publish to stage' }).click();
        await expect(page.getByRole('status')).toHaveText(/^Stage serves release \d+ from now on\.$/);
        await page.getByRole('button', { name: 'Publish to production' }).click();
        await expect(page.getByRole('status')).toHaveText(/^Production serves release \d+ from now on\.$/);
      });
    });
  }

  test('values are mapped with the keyboard alone', async ({ page }) => {
    const { api } = jackfield;
    await api.post('/v1/applications', { name: 'Keys only', link_name: 'keys_only' });
    const fields = [{ name: 'vendor_name', label: 'Vendor name' }, { name: 'remark', label: 'Remark' }];
    await api.post('/v1/applications/keys_only/forms', { name: 'Vendors', definition: { fields } });
    await signIn(page, jackfield);
    const query = 'name=By+keys&form=vendors&on=created&kind=integration&connection=books&module=vendor&operation=create';
    await page.goto(`${jackfield.url}/console/applications/keys_only/workflows/new-action?${query}`);
    /** Presses Tab until what is named so has the focus. */
    const to = async (role, name) => {
      const wanted = page.getByRole(role, { name, exact: true });
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press('Tab');
        if (await wanted.evaluate((element) => element === document.activeElement)) return;
      }
      throw new Error(`${name} is not reached`);
    };
    await to('combobox', 'Notes');
    await page.keyboard.type('Text with');
    await page.keyboard.press('Tab');
    await expect(page.getByLabel('Text, value or expression for Notes')).toBeFocused();
    await page.keyboard.type('About {{ record.remark }}');
    await to('button', 'Make the workflow');
    await page.keyboard.press('Enter');
    await at(page, 'By keys');
    const { definition } = await api.get('/v1/applications/keys_only/workflows/by_keys');
    expect(definition.actions[0].integration.mapping).toEqual({
      DisplayName: { field: 'vendor_name' },
      Notes: { text: 'About {{ record.remark }}' },
    });
  });
});

test.describe('at software that nobody here wrote', () => {
  const TOKEN = 'a-token-that-makes-clients';
  let jackfield;
  let foreign;
  test.beforeAll(async () => {
    jackfield = await serve();
    foreign = await provider(jackfield, { registration: TOKEN });
    const { api } = jackfield;
    // What `oidc-provider` calls a client is made by a form; it is told so in a document, and in no code of ours.
    const fields = [{ name: 'client_name', label: 'Client name', required: true }, { name: 'redirect_uris', label: 'Redirect addresses', type: 'list', required: true }];
    await api.connector({
      name: 'Client registry',
      link_name: 'registry',
      base_url: foreign.url,
      hosts: [new URL(foreign.url).host],
      auth: { type: 'api_key', fields: [{ name: 'token', label: 'Token', secret: true, required: true, in: 'header', as: 'Authorization' }] },
      modules: { client: { label: 'Client', fields, operations: { register: { label: 'Register', method: 'POST', path: '/reg', result: '/client_id' } } } },
    });
    await api.connection({ connector: 'registry', name: 'Registry', link_name: 'registry' });
    await api.connect('registry', { token: `Bearer ${TOKEN}` });
  });
  test.afterAll(async () => {
    await foreign?.stop();
    await jackfield?.stop();
  });

  /** What the foreign server says to whoever would sign in for a client: where it sends him. */
  async function asks(client) {
    const query = new URLSearchParams({
      client_id: client, response_type: 'code', scope: 'openid', redirect_uri: 'https://app.example/back', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256',
    });
    const answer = await fetch(`${foreign.url}/authorize?${query}`, { redirect: 'manual' });
    return { status: answer.status, location: answer.headers.get('location') };
  }

  test('what somebody sends in is made there', async ({ page }) => {
    await signIn(page, jackfield, jackfield.founder, '/console/applications');
    await page.getByRole('button', { name: 'Development' }).click();
    const room = await application(page, jackfield, 'Portal');
    await page.goto(`${jackfield.url}${room}/forms/new-form`);
    await page.getByLabel('Name', { exact: true }).fill('Clients');
    await page.getByLabel('First field').fill('Client name');
    await page.getByRole('button', { name: 'Make the form' }).click();
    await at(page, 'Clients');

    await page.goto(`${jackfield.url}${room}/workflows/new-workflow`);
    await page.getByLabel('Name', { exact: true }).fill('Register clients');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('main').getByRole('link', { name: /^Registry/ }).click();
    await page.getByRole('link', { name: /^Register/ }).click();
    await expect(page.getByLabel('Client name', { exact: true })).toHaveValue('field:client_name');
    await page.getByLabel('Redirect addresses', { exact: true }).selectOption({ label: 'A fixed value' });
    await page.getByLabel('Text, value or expression for Redirect addresses').fill('["https://app.example/back"]');
    await page.getByRole('button', { name: 'Make the workflow' }).click();
    await at(page, 'Register clients');

    await page.goto(`${jackfield.url}${room}/forms/clients`);
    await page.getByRole('link', { name: 'Try it' }).click();
    await page.getByLabel('Client name').fill('Made by a form');
    await page.getByRole('button', { name: 'Send' }).click();
    await expect(page.getByRole('status')).toContainText('Thank you');
    await page.goto(`${jackfield.url}${room}/runs`);
    await page.getByRole('table').getByRole('link', { name: 'Register clients' }).click();
    await isDone(page, 'Register clients');
    await expect(page.getByRole('main')).not.toContainText(TOKEN);

    const { items: [{ id }] } = await jackfield.api.get('/v1/applications/portal/runs');
    const run = await jackfield.api.get(`/v1/applications/portal/runs/${id}`);
    const client = run.results.push.id;
    expect(await asks(client)).toMatchObject({ status: 303, location: expect.stringContaining('/interaction/') });
    expect((await asks('no-such-client')).status).toBe(400);
  });
});
